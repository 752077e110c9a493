//! Tests the release build with a PostgreSQL that uses TLS. `verify-full` accepts the right authority and
//! refuses another one. The test creates the authorities and the certificate.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doorward::database::private_postgres::find_binaries;
use doorward_test::PASSWORD;
use doorward_test::machine::{free_port, postgres_user};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Folder, pause};

/// Runs openssl, which creates an authority or a certificate.
fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn make_certificates(folder: &Path) {
    for name in ["authority", "other"] {
        let subject = format!("/CN=The {name} of a test");
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        openssl(
            folder,
            &[
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                &subject,
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
        );
    }
    openssl(
        folder,
        &[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ],
    );
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "authority.crt",
            "-CAkey",
            "authority.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.crt",
        ],
    );
    let key = folder.join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    if let Some(owner) = postgres_user() {
        chown(&key, Some(owner.uid.as_raw()), None).unwrap();
    }
}

/// The cluster of a data folder, which listens with TLS on a port of this machine.
struct TlsPostgres {
    child: Child,
    port: u16,
    password: String,
}

impl TlsPostgres {
    fn start(cluster: &Folder, certificates: &Path) -> Self {
        cluster.ok(&["migrate"]);
        let path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
        let port = free_port();
        let data = cluster.data_dir().join("postgres");
        let log = fs::File::create(cluster.path().join("log")).unwrap();
        let mut command = Command::new(find_binaries(&path, None).unwrap().program("postgres"));
        command.arg("-D").arg(&data).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "unix_socket_directories=".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificates.join("server.crt").display()),
            format!("ssl_key_file={}", certificates.join("server.key").display()),
        ] {
            command.arg("-c").arg(setting);
        }
        if let Some(owner) = postgres_user() {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        let password = fs::read_to_string(cluster.data_dir().join("doorward.password")).unwrap();
        let postgres = Self { child: command.spawn().unwrap(), port, password };
        let started_at = Instant::now();
        let is_ready =
            || fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.contains("ready"));
        while !is_ready() {
            assert!(started_at.elapsed() < Duration::from_secs(60), "PostgreSQL does not start");
            pause();
        }
        postgres
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let (port, password) = (self.port, self.password.trim());
        format!("postgresql://doorward_server:{password}@{host}:{port}/doorward?{parameters}")
    }
}

impl Drop for TlsPostgres {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGQUIT);
        let _ = self.child.wait();
    }
}

#[test]
fn server_verifies_the_certificate_of_postgresql() {
    let (cluster, folder) = (Folder::new(), Folder::new());
    make_certificates(folder.path());
    let postgres = TlsPostgres::start(&cluster, folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let verified = format!("sslmode=verify-full&sslrootcert={}", file("authority.crt"));

    let url = postgres.url("localhost", &verified);
    let server = folder.serve_as(folder.command(&["serve", "--database-url", &url]));
    assert_eq!(server.login("admin", PASSWORD).0, 200);
    drop(server);
    let doctor = folder.run(&["doctor", "--database-url", &url]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("PostgreSQL"), "{doctor:?}");

    let other = format!("sslmode=verify-full&sslrootcert={}", file("other.crt"));
    let missing = format!("sslmode=verify-full&sslrootcert={}", file("missing.crt"));
    for (url, words) in [
        (postgres.url("localhost", &other), "certificate verify failed"),
        (postgres.url("localhost", &missing), "missing.crt"),
        (postgres.url("127.0.0.1", &verified), "does not match host name"),
    ] {
        let said = folder.fails(&["serve", "--database-url", &url]);
        assert!(said.contains(words) && said.contains("set sslrootcert in DATABASE_URL"), "{said}");
    }
}
