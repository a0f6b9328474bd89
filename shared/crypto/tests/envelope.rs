//! What opens and what must not.

use nodeai_crypto::{MasterKeys, OpenError, Place, RANDOM_LEN, Sealed};
use zeroize::Zeroizing;

const PLACE: Place<'_> = Place {
    kind: "secret",
    org_id: "org-a",
    id: "secret-1",
    version: "v-1",
};

fn keys(versions: &[(u32, u8)]) -> MasterKeys {
    let text: Vec<String> = versions
        .iter()
        .map(|(version, byte)| format!("{version}:{}", hex::encode([*byte; 32])))
        .collect();
    MasterKeys::parse(&text.join(",")).unwrap()
}

fn random(seed: u8) -> Zeroizing<[u8; RANDOM_LEN]> {
    let mut bytes = Zeroizing::new([0; RANDOM_LEN]);
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = seed.wrapping_mul(31).wrapping_add(i as u8);
    }
    bytes
}

fn sealed(keys: &MasterKeys) -> Sealed {
    keys.seal(PLACE, b"s3cr3t", &random(1)).unwrap()
}

#[test]
fn a_value_opens_at_its_place_only() {
    let keys = keys(&[(1, 1)]);
    let sealed = sealed(&keys);
    assert_eq!(&keys.open(PLACE, &sealed).unwrap()[..], b"s3cr3t");
    for place in [
        Place {
            kind: "connection",
            ..PLACE
        },
        Place {
            org_id: "org-b",
            ..PLACE
        },
        Place {
            id: "secret-2",
            ..PLACE
        },
        Place {
            version: "v-2",
            ..PLACE
        },
        // The same characters, divided otherwise.
        Place {
            org_id: "org-as",
            id: "ecret-1",
            ..PLACE
        },
    ] {
        assert_eq!(keys.open(place, &sealed).unwrap_err(), OpenError::Refused);
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let keys = keys(&[(1, 1)]);
    let good = sealed(&keys);
    let parts: [fn(&mut Sealed) -> &mut Vec<u8>; 3] = [
        |s| &mut s.wrapped_key,
        |s| &mut s.nonce,
        |s| &mut s.ciphertext,
    ];
    for part in parts {
        for at in 0..part(&mut good.clone()).len() {
            let mut bad = good.clone();
            part(&mut bad)[at] ^= 1;
            assert_eq!(keys.open(PLACE, &bad).unwrap_err(), OpenError::Refused);
        }
        let mut short = good.clone();
        part(&mut short).pop();
        assert_eq!(keys.open(PLACE, &short).unwrap_err(), OpenError::Refused);
        part(&mut short).clear();
        assert_eq!(keys.open(PLACE, &short).unwrap_err(), OpenError::Refused);
    }
}

#[test]
fn another_master_key_under_the_same_version_does_not_open() {
    let sealed = sealed(&keys(&[(1, 1)]));
    assert_eq!(
        keys(&[(1, 2)]).open(PLACE, &sealed).unwrap_err(),
        OpenError::Refused
    );
    assert_eq!(
        keys(&[(2, 1)]).open(PLACE, &sealed).unwrap_err(),
        OpenError::KeyMissing(1)
    );
    // Claiming another version than the one that wrapped is noticed, even where the key is the same.
    let mut claims_two = sealed;
    claims_two.key_version = 2;
    assert_eq!(
        keys(&[(2, 1)]).open(PLACE, &claims_two).unwrap_err(),
        OpenError::Refused
    );
}

#[test]
fn rewrapping_changes_the_key_and_leaves_the_ciphertext() {
    let old = keys(&[(1, 1)]);
    let sealed = sealed(&old);
    let both = keys(&[(2, 2), (1, 1)]);
    let (key_version, wrapped_key) = both.rewrap(PLACE, &sealed, &[9; 12]).unwrap();
    let moved = Sealed {
        key_version,
        wrapped_key,
        ..sealed.clone()
    };
    let new_only = keys(&[(2, 2)]);
    assert_eq!(&new_only.open(PLACE, &moved).unwrap()[..], b"s3cr3t");
    assert_eq!(moved.ciphertext, sealed.ciphertext);
    assert_eq!(
        old.open(PLACE, &moved).unwrap_err(),
        OpenError::KeyMissing(2)
    );
}
