//! A domain of yours with a placement written into it: only what the placement decides is replaced.
//!
//! `cargo run --example patch_domain | diff …` shows what that is.

use std::error::Error;
use std::io::Write as _;

use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::{Bytes, Question, RequestSpec, Usage, recommend};
use pinwise_discover::libvirt::patch;

const HOST: &str = include_str!("../fixtures/hosts/rtx-pro-6000.json");

/// What `virsh dumpxml --inactive` shows of a domain, shortened.
const DOMAIN: &str = "\
<domain type='kvm'>
  <name>training</name>
  <memory unit='GiB'>4</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <!-- comments, disks and networks stay as they are -->
  <devices>
    <disk type='block' device='disk'>
      <source dev='/dev/vg0/training'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
";

fn main() -> Result<(), Box<dyn Error>> {
    let host = read_host(HOST)?.build()?;
    let request = RequestSpec {
        gpus: GpuRequest::Count { count: 1, model: None },
        ..RequestSpec::new("training", 8, Bytes::from_gib(32))
    };
    let request = request.build()?;
    let usage = Usage::empty(&host);
    let answer = recommend(Question::new(&host, &usage, &request))?;
    let patched = patch(&answer.best().placement, DOMAIN)?;
    write!(std::io::stdout(), "{patched}")?;
    Ok(())
}
