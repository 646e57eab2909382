//! Reports and the status as JSON.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::{
    Draining, NotifierStatus, Outcome, Report, Retiring, Status, Step, StepError, TaskStatus,
};

pub(super) fn report(report: &Report) -> Map<String, Value> {
    let triggers = report.triggers();
    let names: Vec<_> = triggers.iter().map(|trigger| trigger.as_str()).collect();
    let steps: Vec<_> = report.steps().iter().map(step).collect();
    let mut body = object([
        ("triggers", names.into()),
        ("triggers_total", triggers.total().into()),
        ("generation", report.generation().into()),
        ("outcome", report.outcome().as_str().into()),
        ("check", report.is_check().into()),
        (
            "started_unix_seconds",
            unix_seconds(report.started()).into(),
        ),
        ("took_seconds", report.took().as_secs_f64().into()),
        ("steps", steps.into()),
        ("warnings", report.warnings().collect()),
        ("untouched", report.untouched().into()),
        ("pending_restart", report.pending_restart().collect()),
        ("overdue", report.overdue().iter().map(draining).collect()),
    ]);
    if let Outcome::Interrupted { committed } = report.outcome() {
        body.insert("committed".into(), committed.into());
    }
    body
}

fn step(step: &Step) -> Value {
    let mut body = object([
        ("name", step.name().into()),
        ("action", step.action().as_str().into()),
        ("took_seconds", step.took().as_secs_f64().into()),
    ]);
    if let Some(keys) = step.keys() {
        let counts = json!({
            "added": keys.added(),
            "changed": keys.changed(),
            "kept": keys.kept(),
            "removed": keys.removed(),
        });
        body.insert("keys".into(), counts);
    }
    if let Some(error) = step.error() {
        body.insert("error".into(), step_error(error));
    }
    body.into()
}

fn step_error(error: &StepError) -> Value {
    let causes: Vec<_> = error.causes().collect();
    json!({ "message": error.to_string(), "causes": causes })
}

pub(super) fn status(status: &Status) -> Value {
    let notifiers: Vec<_> = status.notifiers().iter().map(notifier).collect();
    let reports: Vec<_> = status.reports().map(|newest| report(newest)).collect();
    json!({
        "generation": status.generation(),
        "components": status.components(),
        "stopping": status.is_stopping(),
        "consecutive_failures": status.consecutive_failures(),
        "last_success_unix_seconds": status.last_success().map(unix_seconds),
        "last_failure_unix_seconds": status.last_failure().map(unix_seconds),
        "pending_restart": status.pending_restart().collect::<Value>(),
        "tasks": status.tasks().map(task).collect::<Value>(),
        "notifiers": notifiers,
        "draining": status.draining().iter().map(draining).collect::<Value>(),
        "retiring": status.retiring().iter().map(retiring).collect::<Value>(),
        "on_probation": status.is_on_probation(),
        "reports": reports,
    })
}

fn draining(draining: &Draining) -> Value {
    json!({
        "component": draining.component(),
        "generation": draining.generation(),
        "held_seconds": draining.held_for().as_secs_f64(),
        "overdue": draining.is_overdue(),
        "guards": draining.guards(),
        "leases": draining.leases(),
        "dependants": draining.dependants().collect::<Vec<_>>(),
    })
}

fn retiring(retiring: &Retiring) -> Value {
    json!({
        "component": retiring.component(),
        "running_seconds": retiring.running_for().as_secs_f64(),
    })
}

fn task(task: &TaskStatus) -> Value {
    let mut body = object([
        ("component", task.component().into()),
        ("failures", task.failures().into()),
        ("ended", task.has_ended().into()),
    ]);
    if let Some(error) = task.error() {
        body.insert("error".into(), step_error(error));
    }
    body.into()
}

fn notifier(notifier: &NotifierStatus) -> Value {
    let mut body = object([
        ("name", notifier.name().into()),
        ("failures", notifier.failures().into()),
    ]);
    if let Some(error) = notifier.error() {
        body.insert("error".into(), step_error(error));
    }
    body.into()
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Seconds since 1970, negative before that. In microseconds, because finer digits are noise in an
/// `f64`.
fn unix_seconds(time: SystemTime) -> f64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_micros() as f64 / 1e6,
        Err(before) => -(before.duration().as_micros() as f64) / 1e6,
    }
}
