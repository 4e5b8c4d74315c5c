//! Stub while the control plane is being written.
use roomcast_shards::rim::{HttpConnection, HttpSink, Shards};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
#[derive(Debug, Default)]
pub(crate) struct AcceptorMetrics {
    pub accepted: AtomicU64,
    pub refused_full: AtomicU64,
    pub refused_address: AtomicU64,
    pub refused_backlog: AtomicU64,
    pub accept_errors: AtomicU64,
}
pub(crate) struct ControlSettings {
    pub admin_listener: Option<std::net::TcpListener>,
    pub dev_page: Option<String>,
}
pub(crate) struct Extra {
    pub logs_dropped: fn() -> u64,
    pub refused: Arc<AcceptorMetrics>,
}
struct S;
impl HttpSink for S {
    fn hand_over(&self, c: HttpConnection) -> Result<(), HttpConnection> {
        Err(c)
    }
}
pub(crate) struct Pending;
pub(crate) fn channel() -> (Arc<dyn HttpSink>, Pending) {
    (Arc::new(S), Pending)
}
pub(crate) struct Control;
impl Control {
    pub(crate) fn drain(&self) {}
    pub(crate) fn stop(self) {}
}
pub(crate) fn start(_: Pending, _: Arc<Shards>, _: ControlSettings, _: Extra) -> std::io::Result<Control> {
    Ok(Control)
}
pub(crate) fn chat_page(_: &crate::settings::DevMode) -> String {
    String::new()
}
