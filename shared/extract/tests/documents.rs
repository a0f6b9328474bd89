//! Documents that are made here: what is read of them, and what is refused.

use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, dictionary};
use nodeai_extract::{Extracted, Limits, Refused, Section, extract};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const ZIP: &str = "application/zip";
const PDF: &str = "application/pdf";

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn read(content: &[u8], media_type: &str) -> Result<Extracted, Refused> {
    extract(content, media_type, "a", Limits::default())
}

fn of(extracted: &Extracted, section: &Section) -> String {
    let text = extracted.text.chars();
    text.skip(section.start)
        .take(section.end - section.start)
        .collect()
}

fn docx(body: &str) -> Vec<u8> {
    let xml = format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"x\"><w:body>{body}</w:body></w:document>"
    );
    zip(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("word/document.xml", xml.as_bytes()),
    ])
}

#[test]
fn a_word_document_has_paragraphs_headings_and_tables() {
    let content = docx(
        "<w:p><w:pPr><w:pStyle w:val=\"Heading1\"/></w:pPr><w:r><w:t>Ä &amp; B</w:t></w:r></w:p>\
         <w:p><w:r><w:t>one</w:t><w:tab/><w:t>two</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>\
         <w:tbl><w:tr><w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p><w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>2</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
    );
    let done = read(&content, ZIP).unwrap();
    assert_eq!(done.format, "docx");
    assert_eq!(done.text, "Ä & B\none\ttwo\n1 2\t\n");
    assert_eq!(done.sections.len(), 1);
    assert_eq!(done.sections[0].title, "Ä & B");
    assert!(of(&done, &done.sections[0]).starts_with("Ä & B\none"));
}

#[test]
fn entities_are_not_expanded() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><w:document><w:p><w:t>&b;</w:t></w:p></w:document>";
    let content = zip(&[("word/document.xml", bomb.as_bytes())]);
    assert!(matches!(read(&content, ZIP), Err(Refused::Hostile(_))));
    let unknown = docx("<w:p><w:r><w:t>&b;</w:t></w:r></w:p>");
    assert!(matches!(read(&unknown, ZIP), Err(Refused::Hostile(_))));
}

fn xlsx(sheet: &str) -> Vec<u8> {
    let book = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Sales" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
    let relations = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
    let types = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
    let sheet = format!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/><sheetData>{sheet}</sheetData></worksheet>"#
    );
    let root = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
    zip(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", root.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", relations.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

#[test]
fn a_workbook_has_a_section_per_sheet() {
    let content = xlsx(
        "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>Q1</t></is></c><c r=\"C1\"><v>42</v></c></row>\
         <row r=\"3\"><c r=\"B3\" t=\"b\"><v>1</v></c></row>",
    );
    let done = read(&content, ZIP).unwrap();
    assert_eq!(done.text, "Q1\t\t42\n\ttrue\n");
    assert_eq!(
        (
            done.sections[0].kind.as_str(),
            done.sections[0].title.as_str()
        ),
        ("sheet", "Sales")
    );
    assert_eq!(of(&done, &done.sections[0]), done.text);
}

#[test]
fn a_cell_in_the_last_corner_costs_no_more_than_another() {
    let content = xlsx("<row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row>");
    let done = read(&content, ZIP).unwrap();
    assert_eq!(done.text.trim(), "1");
    assert!(done.text.len() < 1_000);
}

fn pdf(pages: &[&str]) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let root = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier", "Encoding" => "WinAnsiEncoding",
    });
    let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
    let mut kids: Vec<Object> = Vec::new();
    for text in pages {
        let operations = vec![
            Operation::new("BT", vec![]),
            Operation::new("Tf", vec!["F1".into(), 12.into()]),
            Operation::new("Td", vec![72.into(), 700.into()]),
            Operation::new("Tj", vec![Object::string_literal(*text)]),
            Operation::new("ET", vec![]),
        ];
        let content = Content { operations }.encode().unwrap();
        let content = document.add_object(Stream::new(dictionary! {}, content));
        let page = dictionary! {"Type" => "Page", "Parent" => root, "Contents" => content};
        kids.push(document.add_object(page).into());
    }
    let tree = dictionary! {
        "Type" => "Pages", "Count" => kids.len() as i64, "Kids" => kids, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    };
    document.objects.insert(root, Object::Dictionary(tree));
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => root});
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_pdf_has_a_section_per_page() {
    let done = read(&pdf(&["First page", "Second page"]), PDF).unwrap();
    let titles: Vec<&str> = done.sections.iter().map(|s| s.title.as_str()).collect();
    assert_eq!(titles, ["1", "2"]);
    assert_eq!(of(&done, &done.sections[1]).trim(), "Second page");
}

#[test]
fn a_broken_pdf_and_one_without_text_are_refused() {
    let whole = pdf(&["text"]);
    let half = &whole[..whole.len() / 2];
    for broken in [
        half,
        b"%PDF-1.7\n".as_slice(),
        b"%PDF-1.7\ntrailer<</Root 1 0 R>>startxref 9 %%EOF",
    ] {
        // What a lenient reader finds in half of a file is its own matter; a text it is not.
        assert!(read(broken, PDF).is_err());
    }
    assert_eq!(read(&pdf(&[""]), PDF), Err(Refused::NoText));
}

#[test]
fn a_zip_bomb_is_refused_before_it_is_unpacked() {
    // 32 MB of zeros in a few kB.
    let zeros = vec![b' '; 32 << 20];
    let content = zip(&[("word/document.xml", &zeros)]);
    assert!(content.len() < 64 << 10);
    assert!(matches!(read(&content, ZIP), Err(Refused::Hostile(_))));
    let many: Vec<(String, Vec<u8>)> = (0..2_001).map(|i| (format!("f{i}"), Vec::new())).collect();
    let entries: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(n, c)| (n.as_str(), c.as_slice()))
        .collect();
    assert!(matches!(
        read(&zip(&entries), ZIP),
        Err(Refused::Hostile(_))
    ));
}

#[test]
fn a_claim_of_four_gigabytes_is_refused() {
    let mut content = docx("<w:p/>");
    // The uncompressed size in the central directory (APPNOTE, section 4.3.12), of every entry.
    let mut at = 0;
    while let Some(found) = content[at..].windows(4).position(|w| w == b"PK\x01\x02") {
        at += found;
        content[at + 24..at + 28].copy_from_slice(&0xffff_fffe_u32.to_le_bytes());
        at += 4;
    }
    assert!(matches!(
        read(&content, ZIP),
        Err(Refused::Hostile(_) | Refused::Broken(_))
    ));
}

#[test]
fn paths_that_lead_out_of_an_archive_are_refused() {
    let mut content = zip(&[
        ("aa/bb/etc/passwd", b"x".as_slice()),
        ("word/document.xml", b"<w:document/>"),
    ]);
    while let Some(at) = content.windows(6).position(|w| w == b"aa/bb/") {
        content[at..at + 6].copy_from_slice(b"../../");
    }
    assert!(matches!(read(&content, ZIP), Err(Refused::Hostile(_))));
}

#[test]
fn other_archives_and_pictures_are_not_documents() {
    let plain = zip(&[("a.txt", b"x")]);
    assert!(matches!(read(&plain, ZIP), Err(Refused::Unsupported(_))));
    let picture = read(b"\x89PNG", "image/png").unwrap_err();
    assert!(picture.to_string().contains("image/png"));
    assert!(matches!(
        read(b"PK\x03\x04 not", ZIP),
        Err(Refused::Broken(_))
    ));
}

#[test]
fn markdown_keeps_its_text_and_tells_its_headings() {
    let text = "intro\n\n# Äins\n\nbody\n\n## Zwei\n\nmore\n\n# Drei\n";
    let done = read(text.as_bytes(), "text/markdown").unwrap();
    assert_eq!(done.text, text);
    let shown: Vec<(&str, Option<u8>)> = done
        .sections
        .iter()
        .map(|s| (s.title.as_str(), s.level))
        .collect();
    assert_eq!(
        shown,
        [("Äins", Some(1)), ("Zwei", Some(2)), ("Drei", Some(1))]
    );
    assert_eq!(
        of(&done, &done.sections[0]),
        "# Äins\n\nbody\n\n## Zwei\n\nmore\n\n"
    );
}

#[test]
fn html_is_what_a_reader_sees() {
    let page = "<html><head><title>t</title></head><body><h1>Hi</h1><script>evil()</script><p>a <b>b</b>\n c</p>\
                <table><tr><td>1</td><td>2</td></tr></table></body></html>";
    let done = read(page.as_bytes(), "text/html").unwrap();
    assert_eq!(done.text, "Hi\na b c\n1\t2\t\n");
    assert_eq!(done.sections[0].title, "Hi");
    let deep = format!("{}x", "<div>".repeat(20_000));
    assert_eq!(read(deep.as_bytes(), "text/html").unwrap().text, "x\n");
}

#[test]
fn texts_of_other_encodings_are_read() {
    assert_eq!(read(b"Gr\xfc\xdfe", "text/plain").unwrap().text, "Grüße");
    assert_eq!(read(b"\xff\xfeh\0i\0", "text/plain").unwrap().text, "hi");
    let table = read("a;b\n1;2\n".as_bytes(), "text/csv").unwrap();
    assert_eq!((table.format.as_str(), table.sections.len()), ("csv", 1));
}

#[test]
fn a_long_text_is_cut() {
    let limits = Limits {
        characters: 10,
        ..Limits::default()
    };
    let done = extract(&[b'a'; 100], "text/plain", "a", limits).unwrap();
    assert_eq!((done.text.len(), done.truncated), (10, true));
}
