//! Project Wycheproof's vectors for AES-GCM, through the functions that every envelope uses.

use nodeai_crypto::{NONCE_LEN, TAG_LEN, open_raw, seal_raw};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

#[test]
fn aes_256_gcm_agrees_with_every_vector() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        if group.key_size != 256 || group.tag_size != TAG_LEN * 8 {
            continue;
        }
        for test in group.tests {
            let key: &[u8; 32] = (&test.key[..]).try_into().unwrap();
            let whole = [&test.ct[..], &test.tag[..]].concat();
            let opened = open_raw(key, &test.nonce, &test.aad, &whole);
            seen += 1;
            // Other nonce lengths are valid GCM and refused here: nothing seals with them.
            let Ok(nonce) = <&[u8; NONCE_LEN]>::try_from(&test.nonce[..]) else {
                assert!(opened.is_err(), "vector {}", test.tc_id);
                continue;
            };
            match test.result {
                TestResult::Invalid => assert!(opened.is_err(), "vector {}", test.tc_id),
                _ => {
                    assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "vector {}", test.tc_id);
                    let sealed = seal_raw(key, nonce, &test.aad, &test.pt).unwrap();
                    assert_eq!(sealed, whole, "vector {}", test.tc_id);
                }
            }
        }
    }
    assert!(seen > 60, "only {seen} vectors were tried");
}
