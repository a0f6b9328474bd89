//! AWS Signature Version 4 in header fields, as the AWS General Reference describes it; checked against AWS's published
//! test vectors. For S3: the path is encoded once, and its hash goes along in `x-amz-content-sha256`.

use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// `unreserved` of RFC 3986 stays as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Who signs, for where.
#[derive(Clone)]
pub struct Signer {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Token of temporary credentials.
    pub session_token: Option<String>,
    /// Region, such as `eu-central-1`.
    pub region: String,
    /// Service: `s3`.
    pub service: String,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The path as it is sent: percent-encoded.
    pub path: &'a str,
    /// Query parameters, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Header fields to sign, names in lower case, `host` and `x-amz-date` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body, hex.
    pub body_sha256: &'a str,
}

/// Percent-encodes a part of a path or a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The query string in canonical form, which is also the one to send.
pub fn query_string(query: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name), encode(value));
    let mut pairs: Vec<String> = query.iter().map(pair).collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// SHA-256 as hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    crate::hex(&Sha256::digest(bytes))
}

/// Seconds since the epoch as `YYYYMMDDThhmmssZ`.
pub fn amz_date(seconds: u64) -> String {
    // Days to a date: H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let days = (seconds / 86_400) as i64 + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The canonical request (task 1).
fn canonical(request: &Request<'_>) -> (String, String) {
    let mut headers: Vec<(&str, String)> = request
        .headers
        .iter()
        .map(|(name, value)| {
            let words: Vec<&str> = value.split_whitespace().collect();
            (*name, words.join(" "))
        })
        .collect();
    headers.sort();
    let lines: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let signed = names.join(";");
    let query = query_string(request.query);
    let text = format!(
        "{}\n{}\n{query}\n{lines}\n{signed}\n{}",
        request.method, request.path, request.body_sha256
    );
    (text, signed)
}

impl Signer {
    /// The value of `Authorization`, for a request at `amz_date` (see [`amz_date`]).
    pub fn authorization(&self, request: &Request<'_>, amz_date: &str) -> String {
        let day = &amz_date[..8.min(amz_date.len())];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let (canonical, signed) = canonical(request);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}",
            sha256_hex(canonical.as_bytes())
        );
        let key = hmac(format!("AWS4{}", self.secret_key).as_bytes(), day);
        let key = hmac(&key, &self.region);
        let key = hmac(&key, &self.service);
        let key = hmac(&key, "aws4_request");
        let signature = crate::hex(&hmac(&key, &to_sign));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.access_key
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn signer(service: &str) -> Signer {
        Signer {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        }
    }

    fn signature(signer: &Signer, request: &Request<'_>, date: &str) -> String {
        let value = signer.authorization(request, date);
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn the_test_suite_of_aws() {
        // aws-sig-v4-test-suite: get-vanilla, get-vanilla-query-order-key-case, post-vanilla.
        let date = "20150830T123600Z";
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", date)];
        let base = Request {
            method: "GET",
            path: "/",
            query: &[],
            headers: &headers,
            body_sha256: NOTHING,
        };
        let signer = signer("service");
        assert_eq!(
            signature(&signer, &base, date),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        let query = Request {
            query: &[("Param2", "value2"), ("Param1", "value1")],
            ..base
        };
        assert_eq!(
            signature(&signer, &query, date),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        let post = Request {
            method: "POST",
            ..base
        };
        assert_eq!(
            signature(&signer, &post, date),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }

    #[test]
    fn the_examples_of_s3() {
        // Amazon S3 API Reference, "Signature Calculations for the Authorization Header": GET object with a range, and the
        // list of objects with a query.
        let date = "20130524T000000Z";
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            ..signer("s3")
        };
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", NOTHING),
            ("x-amz-date", date),
        ];
        let get = Request {
            method: "GET",
            path: "/test.txt",
            query: &[],
            headers: &headers,
            body_sha256: NOTHING,
        };
        assert_eq!(
            signature(&signer, &get, date),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let without_range = [headers[0], headers[2], headers[3]];
        let list = Request {
            path: "/",
            query: &[("max-keys", "2"), ("prefix", "J")],
            headers: &without_range,
            ..get
        };
        assert_eq!(
            signature(&signer, &list, date),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for seconds in [
            0,
            951_782_399,
            951_782_400,
            1_709_164_800,
            1_795_566_592,
            4_102_444_799,
        ] {
            let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let want = time.format("%Y%m%dT%H%M%SZ").to_string();
            assert_eq!(amz_date(seconds as u64), want);
        }
    }
}
