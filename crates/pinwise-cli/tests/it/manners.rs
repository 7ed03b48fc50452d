//! What all subcommands have in common: exit statuses, notes, units, policies, and what a package
//! installs beside the program.

use crate::program::{file, fixture, json, pinwise, recommend, status, text};

const HOST: &str = "fixtures/hosts/rtx-4090-nps4.json";
const VM: [&str; 4] = ["--vcpus", "4", "--memory", "8GiB"];

/// A folder of this name with one host and these other files.
fn folder(name: &str, others: &[&str]) -> String {
    let folder = file(&format!("{name}.txt"), "").with_file_name(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("host.json"), fixture("rtx-4080.json")).unwrap();
    others.iter().for_each(|other| std::fs::write(folder.join(other), "{}").unwrap());
    folder.to_str().unwrap().to_owned()
}

#[test]
fn a_fleet_says_which_files_it_ignores() {
    let mixed = folder("mixed-fleet", &["b.txt", "a.xml", "notes"]);
    let output = pinwise(&[&["fleet", &mixed][..], &VM].concat());
    let said = text(&output.stderr);
    assert_eq!(status(&output), 0, "{said}");
    assert!(
        said.ends_with(": 3 of its entries are ignored, not *.json: a.xml, b.txt, notes\n"),
        "{said}"
    );
    let quiet = pinwise(&[&["fleet", &mixed, "--quiet"][..], &VM].concat());
    assert_eq!((status(&quiet), quiet.stdout), (0, output.stdout));
    assert!(quiet.stderr.is_empty());
    let clean = pinwise(&[&["fleet", &folder("clean-fleet", &[])][..], &VM].concat());
    assert!(clean.stderr.is_empty());
}

#[test]
fn quiet_leaves_answers_and_errors() {
    let table = file("quiet.txt", "CPU NODE SOCKET CORE\n0 0 0 0\n1 0 0 1\n2 0 0 2\n");
    let vm = ["--host", table.to_str().unwrap(), "--vcpus", "2", "--memory", "1GiB"];
    let loud = recommend(&[&vm[..], &["--format", "xml"]].concat());
    let quiet = recommend(&[&vm[..], &["--format", "xml", "-q"]].concat());
    assert!(text(&loud.stderr).contains("Warning: "));
    assert_eq!((text(&quiet.stderr).as_str(), &quiet.stdout), ("", &loud.stdout));
    let note = "Note: lscpu -e";
    assert!(text(&recommend(&vm).stdout).contains(note));
    let answer = pinwise(&[&["--quiet", "recommend"][..], &vm].concat());
    assert!(!text(&answer.stdout).contains(note) && text(&answer.stdout).contains("Warning: "));
    let failed = pinwise(&["--quiet", "recommend", "--host", "no-such-file"]);
    assert_eq!((status(&failed), text(&failed.stderr).lines().count()), (2, 1));
}

#[test]
fn subcommands_end_with_the_same_statuses() {
    let fleet = folder("status-fleet", &[]);
    let huge = ["--vcpus", "4000", "--memory", "8GiB"];
    for (arguments, expected) in [
        ([&["recommend", "--host", HOST][..], &VM].concat(), 0),
        ([&["fleet", &fleet][..], &VM].concat(), 0),
        ([&["recommend", "--host", HOST][..], &huge].concat(), 3),
        ([&["fleet", &fleet][..], &huge].concat(), 3),
        (vec!["recommend", "--host", "no-such-file"], 2),
        ([&["fleet", "no-such-file"][..], &VM].concat(), 2),
        (vec!["capture", "--from", "no-such-file"], 2),
        (vec!["simulate", "no-such-file"], 2),
        (vec!["capacity", "--cases", "no-such-file"], 2),
        (vec!["completions", "no-such-shell"], 2),
        (vec!["man", "no-such-folder"], 2),
        (vec!["fleet", "--help"], 0),
        (vec!["--version"], 0),
    ] {
        let output = pinwise(&arguments);
        assert_eq!(status(&output), expected, "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn amounts_without_a_unit_are_refused_everywhere() {
    let fleet = folder("unit-fleet", &[]);
    for arguments in [
        vec!["recommend", "--host", HOST, "--vcpus", "4", "--memory", "65536"],
        vec!["fleet", &fleet, "--vcpus", "4", "--memory", "65536"],
        [&["recommend", "--host", HOST, "--reserve-memory", "65536"][..], &VM].concat(),
    ] {
        let output = pinwise(&arguments);
        let sentence = text(&output.stderr);
        assert_eq!(status(&output), 2, "{sentence}");
        assert!(sentence.contains("65536 what? write 65536MiB or 64GiB"), "{sentence}");
    }
    for sound in ["auto", "0", "16GiB"] {
        let output = recommend(&[&["--host", HOST, "--reserve-memory", sound][..], &VM].concat());
        assert_eq!(status(&output), 0, "{sound}");
    }
}

#[test]
fn threads_and_policies_are_arguments() {
    let vm = [&["--host", HOST, "--io-threads", "2", "--emulator-pcpus", "1"][..], &VM].concat();
    let (status, answer) = json(&vm);
    let best = &answer["ranked"][0]["placement"];
    assert_eq!((status, best["iothreads"].as_array().map(Vec::len)), (0, Some(2)), "{best}");
    let fleet = folder("policy-fleet", &[]);
    let two = [&["fleet", &fleet, "--gpus", "2", "--format", "json"][..], &VM].concat();
    for (policy, expected) in [("ignore", 0), ("require", 3)] {
        let output = pinwise(&[&two[..], &["--same-switch", policy]].concat());
        assert_eq!(self::status(&output), expected, "{policy}: {}", text(&output.stdout));
    }
    let both = pinwise(&[&two[..], &["--remote-gpus", "--gpu-locality", "prefer"]].concat());
    assert_eq!(self::status(&both), 2);
}

#[test]
fn completions_and_man_pages_name_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&pinwise(&["completions", shell]).stdout);
        assert!(script.contains("capacity") && script.contains("reserve-memory"), "{shell}");
    }
    let folder = file("man.txt", "").with_file_name("man-pages");
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(status(&pinwise(&["man", folder.to_str().unwrap()])), 0);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(page("pinwise.1"), text(&pinwise(&["man"]).stdout));
    assert!(page("pinwise-recommend.1").contains("pinwise recommend \\-\\-host live"));
}
