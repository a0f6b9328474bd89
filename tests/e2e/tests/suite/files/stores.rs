//! The other stores: a real S3-compatible server, and Supabase Storage's published protocol. Each has an application of its own.

use super::{FILES, bytes, content, path_of, sha256, stored};
use e2e::app::Setup;
use e2e::{App, assert_status, filestores};
use reqwest::Method;
use serde_json::json;

/// Small and large files, ranges, an upload in pieces that are no parts of the store's, removal.
fn works(app: &App) {
    let me = app.tenant();
    for n in [0, 1, 700_000, (16 << 20) + 77] {
        let sent = bytes(n);
        let file = stored(&me, "a.bin", &sent);
        assert_eq!(file["sha256"], sha256(&sent), "{n}");
        let read = content(&me, &file, &[]);
        assert!(
            read.bytes == sent,
            "{n}: {} bytes came back",
            read.bytes.len()
        );
        if n > 10 {
            let part = content(&me, &file, &[("range", "bytes=3-9")]);
            assert!(part.bytes == sent[3..=9]);
        }
        assert_status(&me.delete(&path_of(&file)), 204);
    }
    // On a host with a ticker somebody else may have drained before.
    let drained = super::drain(&me);
    assert_eq!(drained["failed"], json!(0), "{drained}");
    let sent = bytes(13_000_000);
    let length = sent.len().to_string();
    let tus = ("tus-resumable", "1.0.0");
    let begun = me.send(
        Method::POST,
        &format!("{FILES}/uploads"),
        &[tus, ("upload-length", &length)],
        Vec::new(),
    );
    assert_status(&begun, 201);
    let at = begun.header("location");
    for (first, last) in [(0, 1_000), (1_000, 7_000_000), (7_000_000, sent.len())] {
        let offset = first.to_string();
        let headers = [
            tus,
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", offset.as_str()),
        ];
        let piece = me.send(Method::PATCH, at, &headers, sent[first..last].to_vec());
        assert_eq!(piece.status, 204, "{}\n{}", piece.text, app.log());
        assert_eq!(piece.header("upload-offset"), last.to_string());
    }
    let id = at.rsplit('/').next().unwrap();
    let file = me.get(&format!("{FILES}/{id}")).json;
    assert_eq!(file["sha256"], sha256(&sent));
    assert!(content(&me, &file, &[]).bytes == sent);
}

/// An application that is up already has the store that it was given.
fn is_started_here() -> bool {
    std::env::var_os("NODEAI_E2E_BASE_URL").is_none()
}

#[test]
fn files_are_kept_in_s3() {
    if !is_started_here() {
        return;
    }
    let s3 = filestores::S3::start();
    let app = Setup::on(crate::BACKEND).with(s3.variables()).start();
    works(&app);
    let me = app.tenant();
    let endpoint = format!("{}{FILES}/uploads", app.url);
    let said = filestores::upload(&endpoint, &me.credential, 20 << 20, 3);
    let id = said["url"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(
        me.get(&format!("{FILES}/{id}")).json["sha256"],
        said["sha256"]
    );
}

#[test]
fn files_are_kept_in_supabase_storage() {
    if !is_started_here() {
        return;
    }
    works(
        &Setup::on(crate::BACKEND)
            .storing_files_in_supabase()
            .start(),
    );
}
