//! The yardstick: what one bare ES256 signature costs on this machine at this moment.

use std::{thread, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// About as long as what the server signs.
const MESSAGE: [u8; 300] = [b'm'; 300];
/// So much CPU time is spent on it. On a machine that is one of many on its host what it takes changes within a second.
const ENOUGH: Duration = Duration::from_millis(1500);

/// The CPU time of one signature, on this thread.
#[allow(clippy::disallowed_methods, reason = "the library wants a source of randomness for its signature")]
pub(crate) fn cost() -> Result<Duration, Failure> {
    let failed = || Failure::new("the cryptographic library failed");
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| failed())?;
    let sign = |count: u32| -> Result<(), Failure> {
        (0..count)
            .try_for_each(|_| key.sign(&random, &MESSAGE).map(std::hint::black_box).map(drop).map_err(|_| failed()))
    };
    sign(1000)?;
    let begun = thread_time();
    let mut signatures = 0;
    loop {
        sign(100)?;
        signatures += 100;
        let spent = thread_time().saturating_sub(begun);
        if spent >= ENOUGH {
            return Ok(spent / signatures);
        }
    }
}

/// The same on every processor at once: as it is under load, when none of them is faster for the others' rest.
pub(crate) fn cost_on_all() -> Result<Duration, Failure> {
    let processors = thread::available_parallelism().map_err(Failure::at("cannot count the processors"))?.get();
    let threads: Vec<_> = (0..processors).map(|_| thread::spawn(cost)).collect();
    let mut all = Duration::ZERO;
    for thread in threads {
        all += thread.join().map_err(|_| Failure::new("a thread that signed failed"))??;
    }
    Ok(all / u32::try_from(processors).unwrap_or(u32::MAX))
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_signature_costs_something_and_not_the_world() {
        for cost in [super::cost().unwrap(), super::cost_on_all().unwrap()] {
            assert!((1..10_000).contains(&cost.as_micros()), "{cost:?}");
        }
    }
}
