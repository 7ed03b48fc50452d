//! The program and a libvirt that runs: its test driver, which needs no daemon and plays a host
//! with one domain.

use crate::program::{file, pinwise, status, text};

/// What the program says to a question for a small VM.
fn ask(arguments: &[&str]) -> (i32, String, String) {
    let output = pinwise(&[&["recommend"], arguments].concat());
    (status(&output), text(&output.stdout), text(&output.stderr))
}

#[test]
fn host_and_tenants_come_from_one_connection() {
    let domain = "<domain type='test'>
          <name>far</name><memory unit='GiB'>1</memory><vcpu>2</vcpu>
          <cputune><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='12'/></cputune>
          <os><type arch='i686'>hvm</type></os>
        </domain>";
    let file = file("play-small.xml", &format!("<node>{domain}</node>"));
    let other = format!("libvirt:test://{}", file.display());
    // The driver's own domain has more memory than all nodes together.
    // Some versions show seven free pages of a node: nothing to keep for the host.
    let kept = ["--reserve-memory", "0"];
    let host = ["--vcpus", "1", "--memory", "16KiB", "--host", "libvirt:test:///default"];
    let host = [&host[..], &kept].concat();
    let (status, _, error) = ask(&[&host[..], &["--tenant", "live"]].concat());
    assert_eq!(status, 2);
    assert!(error.starts_with("error: --tenant: tenant \"test\" claims "), "{error}");
    let (status, answer, error) = ask(&host);
    assert_eq!(status, 0, "{error}");
    assert!(answer.contains("16 cores, 16 pCPUs, no GPUs; CPUs, memory from libvirt"), "{answer}");
    // The driver of libvirt 9.0 fills in the free pages but says that it filled in none.
    let free =
        if answer.contains("node 0 does not show free pages (0 of 3)") { 524_288 } else { 7 };
    let cost = format!("1 of 15 free cores; 4 of {free} free 4 KiB pages on node 0");
    assert!(answer.contains(&cost), "{answer}");
    // A tenant with two pCPUs of its own.
    let (_, answer, _) = ask(&[&host[..], &["--tenant", &other]].concat());
    assert!(answer.contains("1 of 13 free cores"), "{answer}");
    let (status, _, error) = ask(&["--host", "libvirt:nothing:///here"]);
    assert_eq!(status, 2);
    assert!(
        error.starts_with("error: nothing:///here: libvirt refuses the connection: "),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    let (_, _, error) = ask(&["--tenant", "hwloc"]);
    assert_eq!(error, "error: hwloc is not a source of tenants\n");
}
