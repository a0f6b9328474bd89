//! `multipart/form-data` (RFC 7578) with one file: what uploads of training files are.

use bytes::Bytes;

/// A form: fields, and a file named `file`.
pub struct Form<'a> {
    /// Names and values.
    pub fields: &'a [(&'a str, &'a str)],
    /// The file's name: plain ASCII without quotes.
    pub file_name: &'a str,
    /// What it holds.
    pub content: &'a str,
}

impl Form<'_> {
    /// The media type and the body. The boundary must not occur in the content: draw it.
    pub fn write(&self, boundary: &str) -> (String, Bytes) {
        let mut body = String::with_capacity(self.content.len() + 512);
        for (name, value) in self.fields {
            body += &format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        body += &format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: application/jsonl\r\n\r\n",
            self.file_name
        );
        body += self.content;
        body += &format!("\r\n--{boundary}--\r\n");
        (
            format!("multipart/form-data; boundary={boundary}"),
            body.into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_fields_and_its_file() {
        let form = Form {
            fields: &[("purpose", "fine-tune")],
            file_name: "train.jsonl",
            content: "{}\n",
        };
        let (kind, body) = form.write("b0");
        assert_eq!(kind, "multipart/form-data; boundary=b0");
        let want = "--b0\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n--b0\r\nContent-Disposition: form-data; \
name=\"file\"; filename=\"train.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n{}\n\r\n--b0--\r\n";
        assert_eq!(body, want);
    }
}
