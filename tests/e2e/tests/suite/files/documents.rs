//! Text out of documents, and hostile ones.

use super::{path_of, stored};
use crate::suite::app;
use e2e::{Reply, Tenant, assert_problem, assert_status};

fn text(me: &Tenant, name: &str, content: &[u8]) -> Reply {
    let file = stored(me, name, content);
    me.get(&format!("{}/text", path_of(&file)))
}

#[test]
fn documents_have_text_and_structure() {
    let me = app().tenant();
    let markdown = text(&me, "a.md", "# Äins\n\ntext\n".as_bytes());
    assert_status(&markdown, 200);
    assert_eq!(markdown.json["format"], "markdown");
    assert_eq!(markdown.json["sections"][0]["title"], "Äins");
    let html = text(
        &me,
        "a.html",
        b"<!DOCTYPE html><h1>Hi</h1><script>x</script><p>there",
    );
    assert_eq!(html.json["text"], "Hi\nthere\n", "{}", html.text);
    let csv = text(&me, "a.csv", b"a,b\n1,2\n");
    assert_eq!(
        (csv.json["format"].as_str(), csv.json["text"].as_str()),
        (Some("csv"), Some("a,b\n1,2\n"))
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    let me = app().tenant();
    let picture = text(&me, "a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    assert_problem(&picture, 422, "file-unreadable");
    assert!(picture.text.contains("image/png"), "{}", picture.text);
    let broken = text(&me, "a.pdf", b"%PDF-1.7\nnothing of a PDF");
    assert_problem(&broken, 422, "file-unreadable");
    let archive = text(&me, "a.docx", b"PK\x03\x04not an archive");
    assert_problem(&archive, 422, "file-unreadable");
}

#[test]
fn a_zip_bomb_is_refused_and_the_next_file_is_read() {
    let me = app().tenant();
    let bomb = text(&me, "bomb.docx", &bomb());
    assert_problem(&bomb, 422, "file-unreadable");
    assert_status(&text(&me, "a.txt", b"fine"), 200);
}

/// A stored ZIP entry `word/document.xml` that says that it unpacks to 4 GB (APPNOTE, sections 4.3.7 and 4.3.12).
fn bomb() -> Vec<u8> {
    let name = b"word/document.xml";
    let claim = 0xffff_fff0_u32.to_le_bytes();
    let mut local = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    local.extend([0; 4]);
    local.extend(2_u32.to_le_bytes());
    local.extend(claim);
    local.extend((name.len() as u16).to_le_bytes());
    local.extend([0; 2]);
    local.extend(name);
    local.extend([3, 0]);
    let mut central = b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    central.extend([0; 4]);
    central.extend(2_u32.to_le_bytes());
    central.extend(claim);
    central.extend((name.len() as u16).to_le_bytes());
    central.extend([0; 16]);
    central.extend(name);
    let (at, length) = (local.len() as u32, central.len() as u32);
    let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
    end.extend(length.to_le_bytes());
    end.extend(at.to_le_bytes());
    end.extend([0; 2]);
    [local, central, end].concat()
}
