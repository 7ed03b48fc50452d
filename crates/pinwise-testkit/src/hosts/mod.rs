//! The synthetic hosts. "Seen" facts come from published outputs of machines of the same class,
//! "known" ones are general knowledge of the hardware, the rest was chosen by us.

mod board;
mod consumer;
mod cpu;
mod server;

use pinwise::HostSpec;

/// All hosts, unchecked.
pub fn all() -> Vec<HostSpec> {
    vec![
        server::hgx_h200(),
        server::hgx_h200_snc2(),
        server::mi350x(),
        server::rtx_pro_6000(),
        consumer::rtx_4090_nps4(),
        consumer::rtx_4080(),
        consumer::rtx_5090_degraded(),
        consumer::i9_14900k(),
    ]
}

/// The words that every description begins with.
fn about(facts: &str) -> String {
    format!("synthetic: made by pinwise from facts of machines of this class; {facts}")
}
