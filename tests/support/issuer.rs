//! An issuer of JSON Web Tokens on this machine: it tells where its keys are and which, and signs what it is asked to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hallmark::clock::Millis;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};

/// What tokens call this registry.
pub const AUDIENCE: &str = "https://registry.example";

/// How an issuer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It answers that it is broken.
    Broken,
    /// It sends whoever asks elsewhere.
    Elsewhere,
    /// It calls itself otherwise.
    Another,
    /// It takes questions and answers none.
    Silent,
}

struct State {
    mood: Mood,
    keys: Vec<Value>,
    /// How often its keys were asked for.
    asked: usize,
    held: Vec<TcpStream>,
}

/// A running issuer. Its thread ends with the process.
pub struct Issuer {
    /// What it calls itself.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Issuer {
    /// Starts one that tells these keys.
    pub fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = State { mood: Mood::Well, keys: Vec::new(), asked: 0, held: Vec::new() };
        let issuer = Self { url: url.clone(), state: Arc::new(Mutex::new(state)) };
        issuer.tell(keys);
        let state = Arc::clone(&issuer.state);
        std::thread::spawn(move || {
            listener.incoming().for_each(|stream| {
                // Whoever hangs up early wants no answer.
                let _ = stream.and_then(|stream| answer(stream, &url, &state));
            });
        });
        issuer
    }

    /// Tells these keys from here on, and no other.
    pub fn tell(&self, keys: &[&SigningKey]) {
        self.state().keys = keys.iter().map(|key| key.public()).collect();
    }

    /// Behaves so from here on.
    pub fn behave(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Claims that every token of this issuer for this registry has, and more, which replace those; null takes one out.
    pub fn claims(&self, more: Value) -> Value {
        let now_s = Millis::now().0 / 1_000;
        let mut claims = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now_s, "exp": now_s + 300, "team": "search",
        });
        let fields = claims.as_object_mut().expect("an object");
        for (name, value) in more.as_object().expect("an object") {
            fields.insert(name.clone(), value.clone());
        }
        fields.retain(|_, value| !value.is_null());
        claims
    }

    /// A token with these claims beside or in place of the usual.
    pub fn token(&self, key: &SigningKey, more: Value) -> String {
        key.sign(&json!({}), &self.claims(more))
    }
}

fn answer(mut stream: TcpStream, url: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut state = state.lock().expect("no holder of this lock panics");
    let is_discovery = first.starts_with("GET /.well-known/openid-configuration ");
    if first.starts_with("GET /keys ") {
        state.asked += 1;
    }
    let (status, body) = match state.mood {
        Mood::Silent => {
            state.held.push(stream);
            return Ok(());
        }
        Mood::Broken => ("500 Broken", json!({})),
        Mood::Elsewhere => ("302 Found\r\nLocation: /elsewhere", json!({})),
        Mood::Another if is_discovery => {
            ("200 OK", json!({"issuer": "https://a.example", "jwks_uri": format!("{url}/keys")}))
        }
        _ if is_discovery => ("200 OK", json!({"issuer": url, "jwks_uri": format!("{url}/keys")})),
        _ if first.starts_with("GET /keys ") => ("200 OK", json!({"keys": state.keys})),
        _ => ("404 Not Found", json!({})),
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A key that an issuer signs with.
pub struct SigningKey {
    /// Its id.
    pub id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// The first of two RSA keys of 2048 bits, for RS256; nobody but these tests believes either.
    pub fn rsa() -> Self {
        Self::of_rsa("rsa-a", include_bytes!("issuer/rsa-a.pk8"))
    }

    /// The second.
    pub fn other_rsa() -> Self {
        Self::of_rsa("rsa-b", include_bytes!("issuer/rsa-b.pk8"))
    }

    fn of_rsa(id: &str, private: &[u8]) -> Self {
        Self { id: id.to_owned(), pair: Pair::Rsa(RsaKeyPair::from_pkcs8(private).expect("a key")) }
    }

    /// A new key for ES256.
    pub fn ec(id: &str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).expect("a key");
        Self { id: id.to_owned(), pair: Pair::Ec(pair) }
    }

    /// A new key for EdDSA.
    pub fn ed(id: &str) -> Self {
        let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self { id: id.to_owned(), pair: Pair::Ed(Ed25519KeyPair::from_pkcs8(private.as_ref()).expect("a key")) }
    }

    /// The same under another id.
    pub fn called(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// As the issuer tells it.
    pub fn public(&self) -> Value {
        let mut told = match &self.pair {
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public().into();
                json!({"kty": "RSA", "n": BASE64.encode(n), "e": BASE64.encode(e)})
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(pair.public_key().as_ref())}),
        };
        told["kid"] = json!(self.id);
        told["use"] = json!("sig");
        told["alg"] = json!(self.algorithm());
        told
    }

    /// A token of these claims, whose header has more, or other things.
    pub fn sign(&self, more: &Value, claims: &Value) -> String {
        let mut header = json!({"typ": "JWT", "alg": self.algorithm(), "kid": self.id});
        for (name, value) in more.as_object().expect("an object") {
            header[name] = value.clone();
        }
        let message = message(&header, claims);
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("signed");
                signature
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).expect("signed").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }
}

/// What is signed of a token.
pub fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}
