//! Counts requests. Each thread looks up the handle of a metric only once for its labels, instead of for each
//! request.

use std::cell::RefCell;
use std::collections::HashMap;

use metrics::{Counter, Histogram};

/// The metrics of requests with the same method, route and status.
struct RequestMeters {
    count: Counter,
    seconds: Histogram,
}

#[derive(Default)]
struct Meters {
    requests: HashMap<(&'static str, &'static str, u16), RequestMeters>,
    refusals: HashMap<(&'static str, &'static str), Counter>,
}

thread_local! {
    static METERS: RefCell<Meters> = RefCell::default();
}

/// Counts a request that was answered.
pub(crate) fn count_request(method: &'static str, route: &'static str, status: u16, seconds: f64) {
    METERS.with_borrow_mut(|meters| {
        let meter = meters.requests.entry((method, route, status)).or_insert_with(|| RequestMeters {
            count: metrics::counter!("doorward_requests_total", "method" => method, "route" => route,
                "status" => status.to_string()),
            seconds: metrics::histogram!("doorward_request_seconds", "method" => method, "route" => route),
        });
        meter.count.increment(1);
        meter.seconds.record(seconds);
    });
}

/// Counts a refusal by its code and the check that failed.
pub(crate) fn count_refusal(code: &'static str, check: &'static str) {
    METERS.with_borrow_mut(|meters| {
        let meter = meters.refusals.entry((code, check)).or_insert_with(
            || metrics::counter!("doorward_refusals_total", "code" => code, "check" => check),
        );
        meter.increment(1);
    });
}
