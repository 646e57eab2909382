//! A watched file that is reached by way of symbolic links and directories that are swapped: each
//! change on the way to it is one reload.
// With all formats, so that it runs once and not once for each feature.
#![cfg(all(feature = "json", feature = "toml", feature = "yaml", unix))]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rekindle::{Outcome, file};
use tempfile::TempDir;

use saves::kubelet::Volume;
use saves::{Saves, replace};

mod saves;

const CONTENTS: [&str; 3] = ["one", "two", "three"];

/// A directory with a directory for each of these names.
fn directories<const N: usize>(names: [&str; N]) -> (TempDir, [PathBuf; N]) {
    let temp = tempfile::tempdir().unwrap();
    let dirs = names.map(|name| temp.path().join(name));
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    (temp, dirs)
}

/// Points a link elsewhere, so that at no moment there is none.
fn point(link: &Path, target: &Path) {
    let new = link.with_extension("new");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

async fn watch(path: &Path) -> Saves<String> {
    Saves::of(file::text(path).watch().poll(None)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_write_of_the_kubelet_is_one_reload() {
    let (_temp, [mount]) = directories(["mount"]);
    let mut volume = Volume::new(mount.clone());
    volume.sync(&[("app.conf", "start"), ("other", "a")]);
    let mut saves = watch(&mount.join("app.conf")).await;
    for contents in CONTENTS {
        volume.sync(&[("app.conf", contents), ("other", "a")]);
        saves.becomes(contents).await;
        volume.sync(&[("app.conf", contents), ("other", "a")]);
        saves.rests().await;
        // The directories are swapped, but this file is what it was.
        volume.sync(&[("app.conf", contents), ("other", contents)]);
        saves.rests().await;
        volume.sync(&[("app.conf", contents), ("other", "a")]);
        saves.rests().await;
    }
}

/// The link that stands in the volume is that of the directory.
#[tokio::test(flavor = "multi_thread")]
async fn each_write_of_the_kubelet_in_a_subdirectory_is_one_reload() {
    let (_temp, [mount]) = directories(["mount"]);
    let mut volume = Volume::new(mount.clone());
    volume.sync(&[("sub/dir/app.conf", "start")]);
    let mut saves = watch(&mount.join("sub/dir/app.conf")).await;
    for contents in CONTENTS {
        volume.sync(&[("sub/dir/app.conf", contents)]);
        saves.becomes(contents).await;
    }
}

/// First `..data` leads to a directory without the file, and then the link to the file is removed:
/// two reasons to refuse it, for whoever is quick enough to see both.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_kubelet_removes_is_refused_until_it_is_back() {
    let (_temp, [mount]) = directories(["mount"]);
    let mut volume = Volume::new(mount.clone());
    volume.sync(&[("app.conf", "start"), ("other", "a")]);
    let mut saves = watch(&mount.join("app.conf")).await;
    for contents in CONTENTS {
        volume.sync(&[("other", "a")]);
        let refused = saves.running.burst().await;
        assert!(refused.len() <= 2, "{refused:?}");
        for report in refused {
            assert_eq!(report.outcome(), Outcome::Rejected, "{report}");
        }
        volume.sync(&[("app.conf", contents), ("other", "a")]);
        saves.becomes_across_a_gap(contents).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_file_that_a_link_leads_to_is_one_reload() {
    let (_temp, [etc, opt]) = directories(["etc", "opt"]);
    let real = opt.join("real.conf");
    let link = etc.join("app.conf");
    fs::write(&real, "start").unwrap();
    symlink("../opt/real.conf", &link).unwrap();
    let mut saves = watch(&link).await;
    for contents in CONTENTS {
        fs::write(&real, contents).unwrap();
        saves.becomes(contents).await;
        replace(&real, &format!("{contents}, renamed"));
        saves.becomes(format!("{contents}, renamed")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_link_that_is_pointed_elsewhere_is_one_reload() {
    let (temp, places) = directories(["a", "b", "c", "d"]);
    for place in &places {
        fs::write(place.join("real.conf"), place.to_str().unwrap()).unwrap();
    }
    let link = temp.path().join("app.conf");
    symlink("a/real.conf", &link).unwrap();
    let mut saves = watch(&link).await;
    for place in &places[1..] {
        let real = place.join("real.conf");
        point(&link, &real);
        saves.becomes(place.to_str().unwrap()).await;
        // What happens there is seen too.
        fs::write(&real, "written there").unwrap();
        saves.becomes("written there").await;
        replace(&real, "renamed there");
        saves.becomes("renamed there").await;
    }
}

/// `ln -f` of some systems removes the old link first.
#[tokio::test(flavor = "multi_thread")]
async fn each_link_that_ln_points_elsewhere_is_one_reload() {
    let (temp, places) = directories(["a", "b", "c", "d"]);
    for place in &places {
        fs::write(place.join("app.conf"), place.to_str().unwrap()).unwrap();
    }
    let current = temp.path().join("current");
    symlink("a", &current).unwrap();
    let mut saves = watch(&current.join("app.conf")).await;
    for place in &places[1..] {
        let mut ln = Command::new("ln");
        ln.arg("-sfn").args([place, &current]);
        assert!(ln.status().unwrap().success());
        saves.becomes_across_a_gap(place.to_str().unwrap()).await;
    }
}

/// `app.conf` leads to `b/hop`, that to `c/hop`, and that to `d/real.conf`.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_each_of_three_links_is_one_reload() {
    let (temp, [b, c, d]) = directories(["b", "c", "d"]);
    let hops = [temp.path().join("app.conf"), b.join("hop"), c.join("hop")];
    let [first, second, third] = &hops;
    let real = d.join("real.conf");
    fs::write(&real, "start").unwrap();
    symlink(&real, third).unwrap();
    symlink(third, second).unwrap();
    symlink(second, first).unwrap();
    let mut saves = watch(first).await;
    for contents in CONTENTS {
        fs::write(&real, contents).unwrap();
        saves.becomes(contents).await;
        // From the last link to the first: each then leads past those that were changed before it.
        for (hop, link) in hops.iter().enumerate().rev() {
            let elsewhere = d.join(format!("{contents}-{hop}.conf"));
            let contents = format!("{contents}, by way of link {hop}");
            fs::write(&elsewhere, &contents).unwrap();
            point(link, &elsewhere);
            saves.becomes(contents).await;
        }
        // Three links again; only the last step changes where they lead.
        point(third, &real);
        point(second, third);
        point(first, second);
        saves.becomes(contents).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_directory_that_is_renamed_over_the_old_place_is_one_reload() {
    let (temp, [current]) = directories(["current"]);
    fs::write(current.join("app.conf"), "start").unwrap();
    let mut saves = watch(&current.join("app.conf")).await;
    for contents in CONTENTS {
        let next = temp.path().join("next");
        fs::create_dir(&next).unwrap();
        fs::write(next.join("app.conf"), contents).unwrap();
        let old = temp.path().join("old");
        fs::rename(&current, &old).unwrap();
        fs::rename(next, &current).unwrap();
        fs::remove_dir_all(old).unwrap();
        saves.becomes_across_a_gap(contents).await;
    }
}

/// At no moment there is no directory, and none is removed.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn each_exchange_of_two_directories_is_one_reload() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let (_temp, [current, next]) = directories(["current", "next"]);
    fs::write(current.join("app.conf"), "start").unwrap();
    let mut saves = watch(&current.join("app.conf")).await;
    for contents in CONTENTS {
        fs::write(next.join("app.conf"), contents).unwrap();
        renameat_with(CWD, &next, CWD, &current, RenameFlags::EXCHANGE).unwrap();
        saves.becomes(contents).await;
        // What is not on the way any more does not count.
        fs::write(next.join("app.conf"), "elsewhere").unwrap();
        saves.rests().await;
    }
}

/// A directory tells only what happens by way of itself.
#[tokio::test(flavor = "multi_thread")]
async fn each_write_by_way_of_a_hard_link_elsewhere_is_one_reload() {
    let (_temp, [here, there]) = directories(["here", "there"]);
    let (path, twin) = (here.join("app.conf"), there.join("twin.conf"));
    fs::write(&path, "start").unwrap();
    fs::hard_link(&path, &twin).unwrap();
    let mut saves = watch(&path).await;
    for contents in CONTENTS {
        fs::write(&twin, contents).unwrap();
        saves.becomes(contents).await;
        saves.rests().await;
    }
}
