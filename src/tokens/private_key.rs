//! Generates, encodes (PKCS #8, RFC 5958) and uses the private half of a signing key.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash};

use crate::random;

/// An algorithm that signs tokens (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA with PKCS #1 padding and SHA-256, 2048 bits.
    Rs256,
}

impl Algorithm {
    /// Returns the name in headers, key sets and settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// Returns jsonwebtoken's value for the algorithm.
    #[must_use]
    pub const fn for_jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa, Self::Rs256].into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// The reason why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The signing key is encrypted under a secret key that is not configured.
    #[error("the signing key {0} is encrypted with a secret key that is not set")]
    Sealed(String),
    /// The library rejects the signing key, or its signatures do not verify.
    #[error("the signing key {0} does not work: {1}")]
    Broken(String, String),
    /// The library could not generate a key.
    #[error("no signing key could be created: {0}")]
    Generation(String),
}

/// A private key in PKCS #8, with its public half.
pub struct PrivateKey {
    pub(super) algorithm: Algorithm,
    pub(super) pkcs8: Vec<u8>,
    pub(super) encoding_key: EncodingKey,
    pub(super) jwk: Jwk,
    pub(super) kid: String,
}

impl PrivateKey {
    /// Generates a key.
    ///
    /// # Errors
    /// [`KeyError::Generation`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pkcs8 = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|key| key.to_pkcs8v1())
                .map(|document| document.as_ref().to_vec()),
            // PKCS #8 version 1, because not every reader accepts version 2.
            Algorithm::EdDsa => Ed25519KeyPair::generate()
                .and_then(|key| key.to_pkcs8v1())
                .map(|document| document.as_ref().to_vec()),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|key| AsDer::<Pkcs8V1Der<'_>>::as_der(&key).map(|der| der.as_ref().to_vec())),
        };
        let pkcs8 = pkcs8.map_err(|error| KeyError::Generation(error.to_string()))?;
        Self::new(algorithm, pkcs8).map_err(|error| KeyError::Generation(error.to_string()))
    }

    pub(super) fn new(algorithm: Algorithm, pkcs8: Vec<u8>) -> jsonwebtoken::errors::Result<Self> {
        let encoding_key = match algorithm {
            Algorithm::Es256 => EncodingKey::from_ec_der(&pkcs8),
            Algorithm::EdDsa => EncodingKey::from_ed_der(&pkcs8),
            // jsonwebtoken reads PKCS #1 in DER, and both in PEM.
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(pem(&pkcs8).as_bytes())?,
        };
        let mut jwk = Jwk::from_encoding_key(&encoding_key, algorithm.for_jwt())?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_algorithm = Some(match algorithm {
            Algorithm::Es256 => KeyAlgorithm::ES256,
            Algorithm::EdDsa => KeyAlgorithm::EdDSA,
            Algorithm::Rs256 => KeyAlgorithm::RS256,
        });
        Ok(Self { algorithm, pkcs8, encoding_key, jwk, kid })
    }
}

/// Encodes PKCS #8 as PEM (RFC 7468, section 10).
fn pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// A private key, parsed once. jsonwebtoken would parse and check the key for every token, which costs as
/// much as the signature.
pub(super) enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyRejected> {
        Ok(match algorithm {
            Algorithm::Es256 => {
                Self::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)?)
            }
            Algorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8)?),
            Algorithm::Rs256 => Self::Rsa(RsaKeyPair::from_pkcs8(pkcs8)?),
        })
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = random::source();
        match self {
            Self::Ecdsa(key) => key.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Self::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        }
    }
}
