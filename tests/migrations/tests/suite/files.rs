//! Files: what an upload may claim, quotas under rivals, what goes away, the plans of the hot reads.

use migrations_tests::{Database, Session, Tenant, id};
use serde_json::{Value, json};

async fn start(session: &Session, more: Value) -> (String, Value) {
    let upload = id();
    let mut args =
        json!({"id": upload, "name": "a", "most_bytes": 1_000, "backend": "postgres", "ttl_s": 60});
    let members = more.as_object().expect("an object").clone();
    args.as_object_mut().expect("an object").extend(members);
    let started = session.call("file_upload_start", args).await;
    (upload, started)
}

async fn advance(session: &Session, upload: &str, offset: u64, bytes: &str) -> Value {
    // Base64 of ASCII that was chosen to need no more than this.
    let length = bytes.len();
    let args = json!({"id": upload, "lease_token": 1, "offset": offset, "length": length,
        "bytes": base64(bytes), "hash_state": "00"});
    session.call("file_upload_advance", args).await
}

/// Base64 (RFC 4648).
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit =
        |bits: u32, place: usize| char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]);
    let group = |three: &[u8]| {
        let bits = three
            .iter()
            .enumerate()
            .fold(0, |b, (i, c)| b | u32::from(*c) << (16 - 8 * i));
        (0..4)
            .map(|place| {
                if place <= three.len() {
                    digit(bits, place)
                } else {
                    '='
                }
            })
            .collect::<String>()
    };
    text.as_bytes().chunks(3).map(group).collect()
}

async fn finish(session: &Session, upload: &str, size: u64) -> Value {
    let args = json!({"id": upload, "lease_token": 1, "size": size, "sha256": "a".repeat(64), "content_type": "text/plain"});
    let answer = json!({"status": 201, "headers": {}, "body": {}});
    let command = json!({"do": "file_upload_finish", "args": args, "answer": answer});
    session.call("command", command).await
}

async fn file(session: &Session, content: &str) -> String {
    let size = content.len() as u64;
    let (upload, _) = start(session, json!({"size": size})).await;
    advance(session, &upload, 0, content).await;
    let done = finish(session, &upload, size).await;
    assert_eq!(done["outcome"], "done", "{done}");
    upload
}

async fn quota(session: &Session, bytes: u64) {
    let args = json!({"org_bytes": bytes, "user_bytes": bytes});
    let answer = json!({"status": 200, "headers": {}, "body": {}});
    let command = json!({"do": "file_quota_set", "args": args, "answer": answer});
    assert_eq!(session.call("command", command).await["outcome"], "done");
}

async fn used(session: &Session) -> Value {
    let usage = session.call("file_usage", json!({})).await;
    usage["organization"]["bytes"].clone()
}

#[tokio::test]
async fn bytes_are_read_back_over_their_rows() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let (upload, _) = start(&session, json!({})).await;
    for (offset, bytes) in [(0, "abc"), (3, "defg"), (7, "h")] {
        let moved = advance(&session, &upload, offset, bytes).await;
        assert_eq!(moved["outcome"], "advanced", "{moved}");
    }
    for (from, most, want) in [
        (0, 100, "abcdefgh"),
        (2, 3, "cde"),
        (4, 2, "ef"),
        (7, 9, "h"),
        (8, 1, ""),
    ] {
        let read = session
            .call(
                "file_read",
                json!({"id": upload, "from": from, "most": most}),
            )
            .await;
        assert_eq!(read["bytes"], base64(want), "{from} {most}");
    }
}

#[tokio::test]
async fn an_upload_earns_what_it_says() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let session = tenant.session(&db).await;
    // Whatever object is named, it is the own one.
    let stolen = json!({"backend": "s3", "object_key": "another/organisation's"});
    let (upload, started) = start(&session, stolen).await;
    assert_eq!(
        started["upload"]["object_key"],
        format!("{}/{upload}", tenant.org)
    );
    let (upload, _) = start(&session, json!({"size": 5})).await;
    let claim =
        json!({"id": upload, "lease_token": 1, "offset": 0, "length": 5, "hash_state": "00"});
    assert!(
        session
            .try_call("file_upload_advance", claim)
            .await
            .is_err()
    );
    assert_eq!(
        advance(&session, &upload, 0, "abcdef").await["outcome"],
        "too_large"
    );
    assert_eq!(
        advance(&session, &upload, 1, "abc").await["outcome"],
        "moved"
    );
    assert_eq!(
        advance(&session, &upload, 0, "abc").await["outcome"],
        "advanced"
    );
    assert_eq!(finish(&session, &upload, 3).await["outcome"], "refused");
    let taken = session
        .call("file_upload_take", json!({"id": upload, "ttl_s": 60}))
        .await;
    assert_eq!(taken["upload"]["lease_token"], 2);
    // Who had it before writes no more.
    assert_eq!(
        advance(&session, &upload, 3, "de").await["outcome"],
        "moved"
    );
    let again = file(&session, "x").await;
    let args =
        json!({"id": again, "name": "a", "most_bytes": 9, "backend": "postgres", "ttl_s": 60});
    assert!(
        session.try_call("file_upload_start", args).await.is_err(),
        "a file's id is taken"
    );
}

#[tokio::test]
async fn anothers_upload_and_bytes_are_not_there() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let (own, other) = (a.session(&db).await, b.session(&db).await);
    let (upload, _) = start(&own, json!({})).await;
    advance(&own, &upload, 0, "abc").await;
    assert_eq!(advance(&other, &upload, 3, "d").await["outcome"], "missing");
    let taken = other
        .call("file_upload_take", json!({"id": upload, "ttl_s": 60}))
        .await;
    assert_eq!(taken["outcome"], "missing");
    for org in [json!(null), json!(a.org)] {
        let read = other
            .call(
                "file_read",
                json!({"org_id": org, "id": upload, "from": 0, "most": 9}),
            )
            .await;
        assert_eq!(read["bytes"], "");
    }
    let into = json!({"org_id": a.org, "id": id(), "name": "a", "most_bytes": 9, "backend": "postgres", "ttl_s": 60});
    assert!(other.try_call("file_upload_start", into).await.is_err());
}

#[tokio::test]
async fn rivals_do_not_share_the_same_room() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let first = tenant.session(&db).await;
    quota(&first, 100).await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(tenant.session(&db).await);
    }
    let starts = sessions
        .iter()
        .map(|session| start(session, json!({"size": 30})));
    let outcomes = futures::future::join_all(starts).await;
    let begun = outcomes
        .iter()
        .filter(|(_, s)| s["outcome"] == "started")
        .count();
    assert_eq!(begun, 3);
    assert_eq!(used(&first).await, 90);
    for (upload, started) in &outcomes {
        if started["outcome"] == "started" {
            first.call("file_upload_abort", json!({"id": upload})).await;
        }
    }
    assert_eq!(used(&first).await, 0);
}

#[tokio::test]
async fn what_is_deleted_goes_away_in_portions() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let session = tenant.session(&db).await;
    let (upload, _) = start(&session, json!({})).await;
    for offset in 0..5 {
        advance(&session, &upload, offset, "x").await;
    }
    assert_eq!(finish(&session, &upload, 5).await["outcome"], "done");
    let delete = json!({"table": "files", "op": "delete", "id": upload});
    assert_eq!(session.call("write", delete).await["outcome"], "done");
    assert_eq!(used(&session).await, 0);
    let owner = db.owner().await;
    let purge = "SELECT nodeai.purge_files('{\"most\":3}')";
    let once: Value = owner.query_one(purge, &[]).await.expect("an answer").get(0);
    assert_eq!(
        (&once["chunks"], &once["files"], &once["left"]),
        (&json!(3), &json!(0), &json!(true))
    );
    let twice: Value = owner.query_one(purge, &[]).await.expect("an answer").get(0);
    assert_eq!(
        (&twice["chunks"], &twice["files"], &twice["left"]),
        (&json!(2), &json!(1), &json!(false))
    );
}

#[tokio::test]
async fn objects_elsewhere_outlive_their_organisation_as_garbage() {
    let db = Database::fresh().await;
    let tenant: Tenant = db.tenant("a").await;
    let session = tenant.session(&db).await;
    let (upload, _) = start(&session, json!({"backend": "s3"})).await;
    let owner = db.owner().await;
    let gone = format!(
        "DELETE FROM public.organizations WHERE id = '{}'",
        tenant.org
    );
    owner.batch_execute(&gone).await.expect("gone");
    let sql = "SELECT object_key FROM nodeai.file_garbage";
    let key: String = owner.query_one(sql, &[]).await.expect("garbage").get(0);
    assert_eq!(key, format!("{}/{upload}", tenant.org));
}

#[tokio::test]
async fn lists_and_reads_of_files_are_on_their_indexes() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let owner = db.owner().await;
    let fill = "
        INSERT INTO public.organizations (id, name) SELECT gen_random_uuid(), 'o' || i FROM generate_series(1, 20) i;
        SET session_replication_role = replica;
        INSERT INTO public.files (id, org_id, name, content_type, size_bytes, sha256)
          SELECT gen_random_uuid(), o.id, 'f' || i, 'text/plain', 1, repeat('a', 64)
          FROM public.organizations o, generate_series(1, 300) i;
        INSERT INTO public.file_chunks (org_id, object_id, number, first_byte, bytes)
          SELECT org_id, id, n, n, 'x' FROM public.files, generate_series(0, 4) n;
        ANALYZE;";
    owner.batch_execute(fill).await.expect("rows");
    let session = tenant.session(&db).await;
    let org = &tenant.org;
    for (index, query) in [
        (
            "files_org_idx",
            format!(
                "SELECT id FROM public.files WHERE org_id = '{org}' AND deleted_at IS NULL ORDER BY id DESC LIMIT 51"
            ),
        ),
        (
            // By object: its own number's index or the one of first bytes, which cost the same for so few pieces.
            "file_chunks_",
            format!(
                "SELECT max(first_byte) FROM public.file_chunks WHERE org_id = '{org}' AND object_id = '{org}' AND first_byte <= 3"
            ),
        ),
    ] {
        let rows = session
            .client()
            .query(&format!("EXPLAIN {query}"), &[])
            .await
            .expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let text = plan.join("\n");
        assert!(text.contains(index) && !text.contains("Seq Scan"), "{text}");
    }
}
