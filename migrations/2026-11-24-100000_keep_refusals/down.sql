DROP INDEX audit_events_session_id;
DROP INDEX audit_events_request_id;
DROP TABLE refusals;
