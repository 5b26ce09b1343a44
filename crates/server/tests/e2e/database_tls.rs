//! TLS to a real PostgreSQL: whom the certificate must be of, and whom it must name.

use std::path::Path;

use crate::support::{EMAIL, Home, cluster::Cluster, eventually};

/// Certificates for localhost and 127.0.0.1, each signed by itself.
const ONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tls/tests/one.pem");
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tls/tests/other.pem");
const SECRET: &str = "a password of the database alone";

/// The tests' own user comes in as everywhere; whoever else, by TLS and a password.
const ACCESS: &str = "host all postgres 127.0.0.1/32 trust\nhostssl all ada 127.0.0.1/32 scram-sha-256\n";

#[test]
fn a_database_is_believed_by_its_certificate_or_not_at_all() {
    let cluster = Cluster::start_with_tls(Path::new(ONE), Path::new(&ONE.replace(".pem", ".key")), ACCESS);
    cluster.sql("postgres", &format!("CREATE ROLE ada LOGIN PASSWORD '{SECRET}'"));
    cluster.sql("postgres", "CREATE DATABASE store OWNER ada");
    let port = cluster.port;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut home = Home::new();
    home.set("PGPASSWORD", SECRET);
    let with = |hosts: &str, options: &str| home.clone().on(&format!("postgres://ada@{hosts}/store?{options}"));
    let good = format!("sslmode=verify-full&sslrootcert={ONE}");

    let server = {
        let home = with(&format!("localhost:{port}"), &good);
        home.add_user(EMAIL, &[]);
        home.serve()
    };
    server.client().sign_in();
    let sql = "SELECT count(*) > 0 AND bool_and(s.ssl AND s.version IN ('TLSv1.2', 'TLSv1.3')) FROM pg_stat_ssl s \
         JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'ada'";
    assert_eq!(cluster.sql("store", sql).trim(), "t");
    // By its address, which the certificate names too; and behind a host that is down.
    let both = format!("localhost:{dead},localhost:{port}");
    for hosts in [&format!("127.0.0.1:{port}"), &both] {
        with(hosts, &good).regrant(&["user", "list"]).ok();
    }

    let without_tls = Cluster::shared().port;
    // A name elsewhere goes without saying how; `hostaddr` leads it here.
    let elsewhere = format!("hostaddr=127.0.0.1&sslrootcert={ONE}");
    for (hosts, options, code, words) in [
        (format!("localhost:{port}"), format!("sslmode=verify-full&sslrootcert={OTHER}"), 1, &["certificate"][..]),
        (format!("db.example:{port}"), elsewhere.clone(), 1, &["certificate", "db.example"]),
        (
            format!("localhost:{dead},db.example:{port}"),
            format!("hostaddr=127.0.0.1,127.0.0.1&sslrootcert={ONE}"),
            1,
            &["certificate", "refused"],
        ),
        (format!("localhost:{without_tls}"), good.clone(), 1, &["TLS"]),
        (
            format!("localhost:{port}"),
            "sslmode=verify-full&sslrootcert=/nowhere/ca.pem".to_owned(),
            2,
            &["/nowhere/ca.pem"],
        ),
        (
            format!("db.example:{port}"),
            "sslmode=require".to_owned(),
            2,
            &["sslmode=require", "verify-full", "sslrootcert"],
        ),
        (format!("db.example:{port}"), "sslmode=prefer".to_owned(), 2, &["verify-full"]),
        (format!("db.example:{port}"), "sslmode=disable".to_owned(), 2, &["verify-full"]),
        // The name is of this machine, and where it leads is not.
        (format!("localhost:{port}"), "hostaddr=192.0.2.1&sslmode=disable".to_owned(), 2, &["verify-full"]),
    ] {
        let said = with(&hosts, &options).regrant(&["user", "list"]).complains(code, words);
        assert!(!said.err.contains(SECRET) && !said.out.contains(SECRET), "{}", said.err);
    }
    // Without TLS the server does not let her in, and with a wrong password neither.
    with(&format!("localhost:{port}"), "sslmode=disable").regrant(&["user", "list"]).complains(1, &["ada"]);
    home.set("PGPASSWORD", "another password altogether");
    let wrong = home.clone().on(&format!("postgres://ada@localhost:{port}/store?{good}"));
    let said = wrong.regrant(&["user", "list"]).complains(1, &["password authentication failed"]);
    assert!(!said.err.contains("altogether"), "{}", said.err);

    // Whoever serves goes on, and says nothing of it either.
    eventually("it is ready", || (server.client().get("/health/ready").send().status == 200).then_some(()));
    assert!(!server.log().contains(SECRET));
}
