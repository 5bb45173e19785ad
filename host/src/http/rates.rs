//! How many requests a caller may send: by its address before it is known who asks, by its token after. What is counted
//! is of one host, and never more than so many callers, however many there are. Every answer tells how many requests are
//! left (draft-ietf-httpapi-ratelimit-headers-10).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use super::error::Problem;
use crate::config::Limits;

/// What is left.
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What may be asked for.
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The counts of one host.
pub struct Rates<C: Clock = MonotonicClock> {
    addresses: Option<Rate<C>>,
    tokens: Option<Rate<C>>,
    /// With a seed of its own, so that nobody can choose whose count his requests are added to.
    hasher: RandomState,
}

impl Rates {
    /// As the limits say.
    pub fn new(limits: &Limits) -> Self {
        Self::by(limits, &MonotonicClock)
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn by(limits: &Limits, clock: &C) -> Self {
        let rate = |policy, limit, requests_max| Rate::new(limits, policy, limit, requests_max, clock.clone());
        Self {
            addresses: rate("address", "requests_per_address_max", limits.requests_per_address_max),
            tokens: rate("token", "requests_per_token_max", limits.requests_per_token_max),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// It has sent as many as it may.
    pub fn count_address(&self, address: IpAddr, told: &Told) -> Result<(), Problem> {
        let Some(rate) = &self.addresses else { return Ok(()) };
        told.keep(&told.address, rate.count(self.hasher.hash_one(counted(address))))
    }

    /// Counts a request of a token, or of whoever an issuer vouches for.
    ///
    /// # Errors
    /// It has sent as many as it may.
    pub fn count_token(&self, token: &str, told: &Told) -> Result<(), Problem> {
        let Some(rate) = &self.tokens else { return Ok(()) };
        told.keep(&told.token, rate.count(self.hasher.hash_one(token)))
    }
}

/// Whoever has one address of IPv6 has the other 2^64 beside it.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

/// One number of requests in one window, for each caller.
struct Rate<C: Clock> {
    policy: &'static str,
    limit: &'static str,
    quota: Quota,
    window_s: u32,
    limiter: RateLimiter<u64, Counts, C, StateInformationMiddleware>,
}

impl<C: Clock> Rate<C> {
    fn new(limits: &Limits, policy: &'static str, limit: &'static str, requests_max: u32, clock: C) -> Option<Self> {
        let window_s = limits.requests_window_s.max(1);
        let burst = NonZeroU32::new(requests_max)?;
        let quota = Quota::with_period(Duration::from_secs(window_s.into()) / requests_max)?.allow_burst(burst);
        let counts = Counts::new(limits.callers_counted_max);
        let limiter = RateLimiter::new(quota, counts, clock);
        Some(Self { policy, limit, quota, window_s, limiter })
    }

    fn count(&self, caller: u64) -> (Standing, Result<(), Problem>) {
        let quota = self.quota.burst_size().get();
        let standing = |left, reset_s| Standing { policy: self.policy, quota, window_s: self.window_s, left, reset_s };
        match self.limiter.check_key(&caller) {
            Ok(snapshot) => {
                let left = snapshot.remaining_burst_capacity();
                let until_full = self.quota.replenish_interval() * (quota - left.min(quota));
                (standing(left, whole_seconds(until_full)), Ok(()))
            }
            Err(until) => {
                let wait_s = whole_seconds(until.wait_time_from(self.limiter.clock().now()));
                let detail = format!(
                    "the {} has sent its {quota} requests of {} s ({} = {quota}): try again in {wait_s} s",
                    self.policy, self.window_s, self.limit
                );
                (standing(0, wait_s), Err(Problem::quota_exceeded(detail, self.policy, self.limit, wait_s)))
            }
        }
    }
}

/// Never less than it takes, and never "now".
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// When each caller will have asked for nothing: what governor keeps of one. Callers that were counted since the last
/// turn are young; where there are too many of them, the old ones are forgotten and the young are old. So a turn costs
/// nothing, and who asks again within a turn keeps his count.
struct Counts {
    callers_max: usize,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    young: HashMap<u64, Nanos>,
    old: HashMap<u64, Nanos>,
}

impl Counts {
    fn new(callers_max: usize) -> Self {
        Self { callers_max: callers_max.div_ceil(2).max(1), turns: Mutex::default() }
    }
}

impl StateStore for Counts {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, caller: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut turns = self.turns.lock().expect("no holder of this lock panics");
        let before = turns.young.get(caller).or_else(|| turns.old.get(caller)).copied();
        let measured = measure(before);
        // Who is refused stays refused, though the others of his turn are forgotten.
        if let Some(after) = measured.as_ref().ok().map(|(_, after)| *after).or(before) {
            if turns.young.len() >= self.callers_max && !turns.young.contains_key(caller) {
                turns.old = std::mem::take(&mut turns.young);
            }
            turns.young.insert(*caller, after);
        }
        measured.map(|(outcome, _)| outcome)
    }
}

/// What a caller may still ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    policy: &'static str,
    quota: u32,
    window_s: u32,
    left: u32,
    reset_s: u64,
}

/// What the answer to one request tells of it.
#[derive(Debug, Default)]
pub struct Told {
    address: OnceLock<Standing>,
    token: OnceLock<Standing>,
}

impl Told {
    fn keep(&self, place: &OnceLock<Standing>, counted: (Standing, Result<(), Problem>)) -> Result<(), Problem> {
        let _ = place.set(counted.0);
        counted.1
    }

    /// Writes it into an answer's head.
    pub fn write(&self, headers: &mut HeaderMap) {
        let standings: Vec<&Standing> = [&self.token, &self.address].into_iter().filter_map(OnceLock::get).collect();
        if standings.is_empty() {
            return;
        }
        let listed = |item: fn(&Standing) -> String| {
            let items: Vec<String> = standings.iter().copied().map(item).collect();
            HeaderValue::try_from(items.join(", ")).expect("names and numbers are visible ASCII")
        };
        headers.insert(&RATE_LIMIT, listed(|one| format!("\"{}\";r={};t={}", one.policy, one.left, one.reset_s)));
        let policy = |one: &Standing| format!("\"{}\";q={};w={}", one.policy, one.quota, one.window_s);
        headers.insert(&RATE_LIMIT_POLICY, listed(policy));
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rates(limits: &Limits) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Rates::by(limits, &clock), clock)
    }

    fn limits(requests_max: u32) -> Limits {
        Limits {
            requests_per_token_max: requests_max,
            requests_per_address_max: requests_max,
            requests_window_s: 60,
            ..Limits::default()
        }
    }

    fn fields(told: &Told) -> (String, String) {
        let mut headers = HeaderMap::new();
        told.write(&mut headers);
        let field = |name: &HeaderName| {
            headers.get(name).map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
        };
        (field(&RATE_LIMIT), field(&RATE_LIMIT_POLICY))
    }

    #[test]
    fn a_token_that_asked_for_all_waits_for_its_turn_and_is_told_how_long() {
        let (rates, clock) = rates(&limits(3));
        for left in [2, 1, 0] {
            let told = Told::default();
            rates.count_token("ci", &told).expect("within its number");
            let reset_s = 20 * (3 - left);
            let expected = (format!("\"token\";r={left};t={reset_s}"), "\"token\";q=3;w=60".to_owned());
            assert_eq!(fields(&told), expected);
        }
        let told = Told::default();
        let problem = rates.count_token("ci", &told).expect_err("one too many");
        let (document, headers) = problem.document("id");
        let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
        assert_eq!((document["status"].clone(), document["code"].clone()), (429.into(), "quota-exceeded".into()));
        assert_eq!(document["violated-policies"], serde_json::json!(["token"]));
        assert_eq!(document["limit"], "requests_per_token_max");
        assert_eq!(
            document["detail"],
            "the token has sent its 3 requests of 60 s (requests_per_token_max = 3): try again in 20 s"
        );
        assert_eq!(headers.retry_after_s, Some(20));
        assert_eq!(fields(&told).0, "\"token\";r=0;t=20");
        rates.count_token("another", &Told::default()).expect("each has its own");
        clock.advance(Duration::from_secs(19));
        rates.count_token("ci", &Told::default()).expect_err("too early");
        clock.advance(Duration::from_secs(1));
        rates.count_token("ci", &Told::default()).expect("one came back");
        clock.advance(Duration::from_secs(600));
        for _ in 0..3 {
            rates.count_token("ci", &Told::default()).expect("all came back, and no more than all");
        }
        rates.count_token("ci", &Told::default()).expect_err("one too many");
    }

    #[test]
    fn addresses_of_one_network_are_one_caller() {
        let (rates, _) = rates(&limits(1));
        let count = |address: &str| rates.count_address(address.parse().expect("an address"), &Told::default()).is_ok();
        assert!(count("192.0.2.1") && !count("::ffff:192.0.2.1"), "the same address, written otherwise");
        assert!(count("192.0.2.2"));
        assert!(count("2001:db8::1") && !count("2001:db8::2:1") && count("2001:db8:0:1::1"));
    }

    #[test]
    fn no_number_counts_nothing() {
        let (rates, _) = rates(&limits(0));
        let told = Told::default();
        for _ in 0..1_000 {
            rates.count_token("ci", &told).expect("any number");
        }
        assert_eq!(fields(&told), (String::new(), String::new()));
    }

    #[test]
    fn however_many_callers_there_are_so_many_are_kept() {
        let (rates, _) = rates(&Limits { callers_counted_max: 100, ..limits(1) });
        let busy = || rates.count_token("busy", &Told::default());
        busy().expect("the first");
        for caller in 0..10_000 {
            rates.count_token(&format!("caller {caller}"), &Told::default()).expect("each for the first time");
            busy().expect_err("who goes on asking is not forgotten");
        }
        let kept = |counts: &Counts| {
            let turns = counts.turns.lock().expect("free");
            turns.young.len() + turns.old.len()
        };
        let counts = rates.tokens.expect("a rate").limiter.into_state_store();
        assert!(kept(&counts) <= 100, "{}", kept(&counts));
    }
}
