//! The checks of a run for people, and how memory is judged.

use std::process::ExitCode;

/// What was checked.
#[derive(Default)]
pub struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    /// Notes and prints one check; `figures` are what it was judged by.
    pub fn check(&mut self, what: &str, holds: bool, figures: &str) {
        let (count, word) = if holds { (&mut self.passed, "ok  ") } else { (&mut self.failed, "FAIL") };
        *count += 1;
        println!("{word} {what}: {figures}");
    }

    /// Prints the last line, which is for programs too.
    pub fn conclude(self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// What was seen of the program at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub seconds: f64,
    pub memory: u64,
    pub threads: u64,
    pub descriptors: u64,
}

/// How memory rose behind the warm-up: the straight line of least squares through the samples of the last three quarters.
#[derive(Clone, Copy, Debug)]
pub struct Rise {
    /// KiB at the beginning of the line.
    pub from: f64,
    /// KiB from its beginning to its end.
    pub rise: f64,
    pub samples: usize,
}

/// What the allocator takes and gives back by chance, in KiB: this much is no rise in a short run.
pub const NOISE: f64 = 1024.0;

/// Fewer samples are a short run.
const SHORT: usize = 60;

impl Rise {
    pub fn over(samples: &[Sample]) -> Rise {
        let samples = &samples[samples.len() / 4..];
        let count = samples.len().max(1) as f64;
        let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(&|sample| sample.seconds), mean(&|sample| sample.memory as f64));
        let covariance = mean(&|sample| (sample.seconds - x) * (sample.memory as f64 - y));
        let variance = mean(&|sample| (sample.seconds - x).powi(2));
        let slope = if variance > 0.0 { covariance / variance } else { 0.0 };
        let (first, last) = (samples.first(), samples.last());
        let time = |sample: Option<&Sample>| sample.map_or(0.0, |sample| sample.seconds);
        let from = y + slope * (time(first) - x);
        Rise { from, rise: slope * (time(last) - time(first)), samples: samples.len() }
    }

    pub fn percent(&self) -> f64 {
        100.0 * self.rise / self.from.max(1.0)
    }

    /// Below one per cent, or in a short run below what is noise.
    pub fn is_none(&self) -> bool {
        self.percent() < 1.0 || self.samples < SHORT && self.rise < NOISE
    }
}
