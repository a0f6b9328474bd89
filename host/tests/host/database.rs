//! The database behind components, and the embedded one's life.

use crate::support::App;

#[test]
fn every_type_survives() {
    let app = App::new();
    let host = app.ephemeral();
    let (status, text) = host.get("/types");
    assert_eq!(status, 200, "{text}");
    for part in [
        "Boolean(true)",
        "Int16(2)",
        "Int32(3)",
        "Int64(4)",
        "Floating32(5.5)",
        "Floating64(6.5)",
        "Str(\"sieben\")",
        "Binary([8])",
        "Date((2024, 2, 29))",
        "Time((1, 2, 3, 4000))",
        "Datetime((2024, 2, 29, 1, 2, 3, 4000))",
        "Datetime((2023, 11, 14, 22, 13, 20, 0))",
        "Uuid(\"0190a0a0-0000-7000-8000-000000000000\")",
        "Decimal(\"12.3400\")",
        "ArrayInt32([Some(1), None])",
        "ArrayInt64([Some(2)])",
        "ArrayDecimal([Some(\"1.5\")])",
        "ArrayStr([Some(\"x\"), None])",
        "Interval { micros: 1, days: 2, months: 3 }",
        "DbNull",
        "RangeInt32((Some((1, RangeBoundKind::Inclusive)), None))",
        "RangeDecimal((None, Some((\"2.5\", RangeBoundKind::Exclusive))))",
        "Unsupported(",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(
        host.get("/fail-stream").1.contains("22012"),
        "an error after rows is told"
    );
    assert!(host.post("/query", "selec").1.contains("code: \"42601\""));
    assert_eq!(
        host.post("/query", "SELECT n FROM generate_series(1, 1000) n")
            .1
            .lines()
            .count(),
        1000
    );
}

#[test]
fn a_connection_carries_nothing_over() {
    let app = App::new();
    let host = app.start(&["--ephemeral", "--database-connections", "1"]);
    let fresh = "DbValue::Str(\"nodeai_app\"), DbValue::Str(\"\"), DbValue::Boolean(false)";
    assert_eq!(host.get("/who").1, fresh);
    assert_eq!(host.get("/claim?alice").0, 200);
    assert_eq!(host.get("/who").1, fresh, "role and claims were reset");
    assert_eq!(host.get("/begin").0, 200);
    assert_eq!(host.get("/who").1, fresh, "the transaction was rolled back");
}

#[test]
fn statements_outlive_a_changed_table() {
    let app = App::new();
    let host = app.start(&["--ephemeral", "--database-connections", "1"]);
    let select = "SELECT * FROM (SELECT * FROM pg_temp_test) t";
    assert!(host.post("/query", select).1.contains("42P01"));
    assert_eq!(host.get("/who").0, 200);
}

#[test]
fn a_lasting_database_survives_a_kill() {
    let app = App::new();
    let host = app.start(&[]);
    let key = host.info["api_key"].clone();
    assert_eq!(
        app.run(&["key", "create", "--name", "second"])
            .status
            .code(),
        Some(0)
    );
    let second = app.run(&["up", "--listen", "127.0.0.1:0"]);
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another nodeai is running"));
    host.kill();

    let host = app.start(&[]);
    assert_eq!(host.info["api_key"], key);
    let address = host.url.replace("http://", "");
    let taken = app.run(&["up", "--listen", &address]);
    assert!(
        String::from_utf8_lossy(&taken.stderr).contains("is in use"),
        "{taken:?}"
    );
    assert!(host.stop());
}

#[test]
fn the_embedded_server_is_kept_up() {
    let app = App::new();
    let host = app.start(&[]);
    let pid_file = app.path().join(".nodeai/postgres/data/postmaster.pid");
    let text = std::fs::read_to_string(pid_file).unwrap();
    let pid: i32 = text.lines().next().unwrap().parse().unwrap();
    // SAFETY: kill takes plain integers.
    unsafe { libc::kill(pid, libc::SIGINT) };
    host.wait_for_line("it is started again");
    let since = std::time::Instant::now();
    while host.get("/who").0 != 200 {
        assert!(
            since.elapsed().as_secs() < 90,
            "the database did not come back"
        );
    }
}

#[test]
fn changed_migrations_are_refused() {
    let app = App::new();
    assert!(app.start(&[]).stop());
    let file = app.path().join("migrations/001_fixture.sql");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n-- changed")).unwrap();
    let up = app.run(&["up", "--no-build", "--listen", "127.0.0.1:0"]);
    assert!(!up.status.success());
    assert!(
        String::from_utf8_lossy(&up.stderr).contains("001_fixture was changed"),
        "{up:?}"
    );
    assert!(!app.run(&["migrate", "status"]).status.success());

    std::fs::write(&file, text).unwrap();
    std::fs::write(
        app.path().join("migrations/002_broken.sql"),
        "SELECT 1;\nSELECT nonsense;",
    )
    .unwrap();
    let broken = app.run(&["migrate", "apply"]);
    let said = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(
        said.contains("002_broken failed and was rolled back (line 2)"),
        "{said}"
    );
    let status = app.run(&["migrate", "status"]);
    assert_eq!(
        String::from_utf8_lossy(&status.stdout),
        "applied  001_fixture\npending  002_broken\n"
    );
}

#[test]
fn spans_from_the_log_are_brought_back_once() {
    let app = App::new();
    let host = app.start(&[]);
    assert_eq!(host.get("/spans").0, 200);
    host.wait_for_line("nodeai-spans: ");
    let file = app.path().join(".nodeai/spans/unflushed.jsonl");
    let file = file.to_str().unwrap();
    let first = app.run(&["spans", "replay", file]);
    assert_eq!(
        String::from_utf8_lossy(&first.stdout),
        "1 lines with spans, 1 spans inserted, 0 were there already\n",
        "{first:?}"
    );
    let again = app.run(&["spans", "replay", file]);
    assert_eq!(
        String::from_utf8_lossy(&again.stdout),
        "1 lines with spans, 0 spans inserted, 1 were there already\n"
    );
}

#[test]
fn an_unreachable_database_is_one_sentence() {
    let app = App::new();
    let up = app.run(&[
        "up",
        "--quiet",
        "--no-build",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        "postgres://a:secret@127.0.0.1:1/x",
    ]);
    let said = String::from_utf8_lossy(&up.stderr).into_owned();
    assert!(!up.status.success());
    assert!(
        said.contains("cannot reach the database at postgres://a:***@127.0.0.1:1/x"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    let pooled = app.run(&[
        "up",
        "--no-build",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        "postgres://a:b@h:6543/x",
    ]);
    assert!(String::from_utf8_lossy(&pooled.stderr).contains("transaction pooler"));
}
