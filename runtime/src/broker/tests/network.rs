//! A network of names that a test makes up. It remembers what it was asked for and what was dialled.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::*;

#[derive(Default)]
pub(super) struct Network {
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Where every connection ends, whatever address was dialled. None lets no connection through.
    pub leads_to: Option<SocketAddr>,
    pub asked: Mutex<Vec<String>>,
    pub dialled: Mutex<Vec<SocketAddr>>,
}

impl Resolve for Network {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().push(name.into());
        let answer = self.names.get(name).cloned();
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.dialled.lock().push(address);
        let target = self.leads_to.ok_or(io::ErrorKind::ConnectionRefused);
        Box::pin(async move { TcpStream::connect(target?).await })
    }
}

impl Network {
    /// Knows these names, and leads to that server.
    pub fn to(server: &Server, names: &[(&str, &[&str])]) -> Self {
        let leads_to = Some(SocketAddr::from(([127, 0, 0, 1], server.port)));
        let address = |text: &&str| text.parse().expect(text);
        let known =
            |&(name, list): &(&str, &[&str])| (name.to_owned(), list.iter().map(address).collect());
        Self { names: names.iter().map(known).collect(), leads_to, ..Self::default() }
    }

    pub fn dialled(&self) -> Vec<String> {
        self.dialled.lock().iter().map(ToString::to_string).collect()
    }
}
