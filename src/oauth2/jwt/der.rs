//! As much of DER (X.690) as it takes to tell a few things apart.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// Whether this has the shape of a certificate (RFC 5280 §4.1): what is signed, by which algorithm, and the
/// signature.
pub(super) fn is_certificate(der: &[u8]) -> bool {
    let mut rest = der;
    let Some(mut parts) = take(&mut rest, SEQUENCE) else {
        return false;
    };
    let is_complete = take(&mut parts, SEQUENCE).is_some_and(|signed| !signed.is_empty())
        && take(&mut parts, SEQUENCE).is_some()
        && take(&mut parts, BIT_STRING).is_some();
    is_complete && parts.is_empty() && rest.is_empty()
}

/// The length of an RSA key's modulus in bits, be it PKCS#8 (RFC 5958 §2) or PKCS#1 (RFC 8017 §A.1.2).
pub(super) fn rsa_bits(der: &[u8]) -> Option<usize> {
    let mut key = versioned(der)?;
    if take(&mut key, SEQUENCE).is_some() {
        key = versioned(take(&mut key, OCTET_STRING)?)?;
    }
    let modulus = take(&mut key, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// What follows the version of a key.
fn versioned(mut der: &[u8]) -> Option<&[u8]> {
    let mut key = take(&mut der, SEQUENCE)?;
    take(&mut key, INTEGER)?;
    Some(key)
}

/// The content of what `der` begins with, if that has this tag.
fn take<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, length], mut rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let length = match length {
        0..=0x7f => usize::from(length),
        // Up to 16 MiB. The long form says how many bytes its length has.
        0x81..=0x83 => {
            let (bytes, after) = rest.split_at_checked(usize::from(length - 0x80))?;
            rest = after;
            let add = |sum, byte: &u8| sum << 8 | usize::from(*byte);
            bytes.iter().fold(0, add)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = match content.len() {
            0..=0x7f => vec![tag, length[1]],
            0x80..0x100 => vec![tag, 0x81, length[1]],
            _ => vec![tag, 0x82, length[0], length[1]],
        };
        [&head, content].concat()
    }

    #[test]
    fn a_certificate_is_three_parts_and_nothing_more() {
        let (signed, algorithm) = (der(SEQUENCE, &[7; 300]), der(SEQUENCE, &[6, 1, 1]));
        let signature = der(BIT_STRING, &[0; 130]);
        let whole = der(SEQUENCE, &[&*signed, &algorithm, &signature].concat());
        assert!(is_certificate(&whole));

        for length in 0..whole.len() {
            assert!(!is_certificate(&whole[..length]), "{length}");
        }
        assert!(!is_certificate(&[&*whole, &[0]].concat()));
        let public_key = [&*algorithm, &signature].concat();
        let private_key = [&*der(INTEGER, &[0]), &algorithm, &der(OCTET_STRING, &[1])].concat();
        let more = [&*signed, &algorithm, &signature, &signature].concat();
        for other in [public_key, private_key, more, signed] {
            assert!(!is_certificate(&der(SEQUENCE, &other)), "{other:?}");
        }
    }

    #[test]
    fn the_length_of_a_modulus_is_without_its_zeros() {
        let pkcs1 = |modulus: &[u8]| {
            let parts = [
                der(INTEGER, &[0]),
                der(INTEGER, modulus),
                der(INTEGER, &[3]),
            ];
            der(SEQUENCE, &parts.concat())
        };
        let pkcs8 = |key: &[u8]| {
            let parts = [
                der(INTEGER, &[0]),
                der(SEQUENCE, &[6, 1, 1]),
                der(OCTET_STRING, key),
            ];
            der(SEQUENCE, &parts.concat())
        };
        for (bits, modulus) in [
            (2048, [&[0, 0x80][..], &[1; 255]].concat()),
            (2047, [&[0x40][..], &[1; 255]].concat()),
            (1, vec![0, 0, 1]),
        ] {
            let key = pkcs1(&modulus);
            assert_eq!(rsa_bits(&key), Some(bits));
            assert_eq!(rsa_bits(&pkcs8(&key)), Some(bits));
        }
        for other in [
            pkcs1(&[0]),
            pkcs1(&[]),
            pkcs8(b""),
            pkcs8(&der(OCTET_STRING, &[0; 32])),
            vec![SEQUENCE, 0x80],
            vec![SEQUENCE, 0x84, 0, 0, 0, 0],
            vec![SEQUENCE],
            Vec::new(),
        ] {
            assert_eq!(rsa_bits(&other), None, "{other:?}");
        }
    }
}
