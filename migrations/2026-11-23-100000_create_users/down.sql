DROP TABLE password_links;
DROP TRIGGER keep_login_names ON users;
DROP FUNCTION keep_login_names();
DROP TABLE login_names;
DROP TABLE users;
DROP TABLE roles;
