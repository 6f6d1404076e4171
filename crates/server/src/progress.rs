//! One-way progress of jobs (`/ws/sync`): the latest frame of each job that is still running.
//!
//! In memory only, at most so many jobs, each forgotten after an hour of silence. Publishing the
//! frames is somebody else's business.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::clock::Tick;
use crate::settings::Settings;

/// Names a job: the same id under two users is two jobs. `None` is for everybody.
type JobName = (Option<Arc<str>>, String);

struct Job {
    frame: Bytes,
    heard: Tick,
}

/// The jobs that are running.
pub struct ProgressJobs {
    jobs: Mutex<HashMap<JobName, Job>>,
    jobs_max: usize,
    silence_millis_max: u64,
}

impl ProgressJobs {
    /// No jobs yet.
    pub fn new(settings: &Settings) -> Self {
        let silence = settings.progress_silence_max.as_millis();
        Self {
            jobs: Mutex::default(),
            jobs_max: settings.progress_jobs_max,
            silence_millis_max: u64::try_from(silence).unwrap_or(u64::MAX),
        }
    }

    /// Remembers a running job's latest frame. With as many jobs as may be, the one that was
    /// silent longest is forgotten: its next frame brings it back.
    pub fn running(&self, user: Option<Arc<str>>, job: &str, frame: Bytes, now: Tick) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (user, job.to_owned());
        if !jobs.contains_key(&name) && jobs.len() >= self.jobs_max {
            jobs.retain(|_, job| now.since(job.heard) < self.silence_millis_max);
            if jobs.len() >= self.jobs_max {
                let oldest = jobs.iter().min_by_key(|(_, job)| job.heard).map(|(name, _)| name);
                if let Some(oldest) = oldest.cloned() {
                    jobs.remove(&oldest);
                }
            }
        }
        jobs.insert(name, Job { frame, heard: now });
    }

    /// Forgets a job that has ended.
    pub fn ended(&self, user: Option<Arc<str>>, job: &str) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.remove(&(user, job.to_owned()));
    }

    /// What a newcomer is shown: jobs for everybody, and the user's own.
    pub fn current(&self, user: &str, now: Tick) -> Vec<Bytes> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|_, job| now.since(job.heard) < self.silence_millis_max);
        let mut shown: Vec<_> = jobs
            .iter()
            .filter(|((owner, _), _)| owner.as_deref().is_none_or(|owner| owner == user))
            .map(|(_, job)| (job.heard, job.frame.clone()))
            .collect();
        shown.sort_by_key(|(heard, _)| *heard);
        shown.into_iter().map(|(_, frame)| frame).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(max: usize) -> ProgressJobs {
        ProgressJobs::new(&Settings { progress_jobs_max: max, ..Settings::default() })
    }

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_newcomer_sees_running_jobs_of_everybody_and_his_own() {
        let jobs = jobs(10);
        jobs.running(None, "a", frame("a1"), Tick(1));
        jobs.running(Some("u".into()), "a", frame("u-a"), Tick(2));
        jobs.running(Some("v".into()), "b", frame("v-b"), Tick(3));
        jobs.running(None, "a", frame("a2"), Tick(4));
        assert_eq!(jobs.current("u", Tick(5)), [frame("u-a"), frame("a2")]);
        assert_eq!(jobs.current("", Tick(5)), [frame("a2")]);
        jobs.ended(None, "a");
        assert_eq!(jobs.current("u", Tick(5)), [frame("u-a")]);
    }

    #[test]
    fn silence_and_number_are_bounded() {
        let jobs = jobs(2);
        jobs.running(None, "a", frame("a"), Tick(1));
        jobs.running(None, "b", frame("b"), Tick(2));
        jobs.running(None, "c", frame("c"), Tick(3));
        assert_eq!(jobs.current("", Tick(4)), [frame("b"), frame("c")]);
        let hour = 3_600_000;
        assert_eq!(jobs.current("", Tick(2 + hour)), [frame("c")]);
    }
}
