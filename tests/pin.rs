//! Restart-only settings: they keep their start-up value, and say so when the file says otherwise.

mod support;

use rekindle::{Lease, Manager, Outcome};
use support::{Dial, in_time};

#[tokio::test]
async fn a_pinned_setting_keeps_its_value_and_says_so_until_the_old_one_is_back() {
    let dial = Dial::new(14);
    let mut reload = Manager::new();
    let config = reload.source("config", dial.clone()).await.unwrap();
    let tens = reload.pin("tens", config.map(|n| *n / 10)).await.unwrap();
    let ones = reload.pin("ones", config.map(|n| *n % 10)).await.unwrap();
    let sum = reload.derive(
        "sum",
        (&tens, &ones),
        async |(tens, ones): (Lease<u64>, Lease<u64>)| Ok(*tens + *ones),
    );
    let sum = sum.await.unwrap();
    let odd = reload.derive("odd", &config, async |n: Lease<u64>| match *n % 2 {
        0 => Ok(()),
        _ => Err("odd".into()),
    });
    odd.await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        let pending = || {
            handle
                .status()
                .pending_restart()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert!(pending().is_empty());
        for (number, expected) in [
            (24, vec!["tens"]),
            (28, vec!["tens", "ones"]),
            (18, vec!["ones"]),
        ] {
            dial.set(number);
            let report = handle.reload("test").await?;
            assert_eq!(report.outcome(), Outcome::Applied);
            assert_eq!(report.pending_restart().collect::<Vec<_>>(), expected);
            let said = format!(" pending_restart={}", expected.join(","));
            assert!(report.to_string().contains(&said), "{report}");
            assert_eq!(pending(), expected);
            assert_eq!(
                (*config.load(), *tens.load(), *ones.load(), *sum.load()),
                (number, 1, 4, 5)
            );
        }
        // Neither what is refused nor what is only checked is said to be pending afterwards.
        dial.set(33);
        let error = handle.reload("odd").await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.pending_restart().collect::<Vec<_>>(), ["ones"]);
        dial.set(26);
        let check = handle.check().await?;
        assert_eq!(
            check.pending_restart().collect::<Vec<_>>(),
            ["tens", "ones"]
        );
        assert_eq!(pending(), ["ones"]);
        let unchanged = {
            dial.set(18);
            handle.reload("nothing").await?
        };
        assert_eq!(unchanged.outcome(), Outcome::Unchanged);
        assert_eq!(unchanged.pending_restart().collect::<Vec<_>>(), ["ones"]);

        dial.set(14);
        let report = handle.reload("back").await?;
        assert_eq!(report.pending_restart().len(), 0);
        assert!(pending().is_empty());
        Ok(())
    });
    in_time(run).await.unwrap();
}

#[tokio::test]
async fn a_comparison_that_panics_refuses_the_reload_and_is_told_once() {
    #[derive(Clone)]
    struct Sick;
    impl PartialEq for Sick {
        fn eq(&self, _: &Self) -> bool {
            panic!("sick")
        }
    }
    let dial = Dial::new(1);
    let mut reload = Manager::new();
    let config = reload.source("config", dial.clone()).await.unwrap();
    reload.pin("workers", config.map(|_| Sick)).await.unwrap();
    let handle = reload.handle();
    let run = reload.run(async move |_| {
        dial.set(2);
        let error = handle.reload("test").await.unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), Outcome::Rejected);
        assert_eq!(report.failure().unwrap().name(), "workers");
        let mut names: Vec<&str> = report.steps().iter().map(|step| step.name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["config", "workers"]);
        assert_eq!(report.untouched(), 0);
    });
    in_time(run).await.unwrap();
}
