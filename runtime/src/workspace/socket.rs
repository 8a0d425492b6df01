//! Opens a websocket to the workspace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::{Host, Url};

use super::limits::{DIAL_ONE, MESSAGE_BYTES, READ_BUFFER};
use super::registration::authorization;

/// The subprotocol. The workspace must echo it, which the websocket library checks.
const SUBPROTOCOL: HeaderValue = HeaderValue::from_static("connector");

/// An open websocket, over TLS or not.
pub type Socket = WebSocketStream<Box<dyn Stream>>;

/// What a websocket runs over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens websockets to one endpoint.
pub struct Dialer {
    endpoint: Url,
    tls: TlsConnector,
    within: Duration,
}

impl Dialer {
    /// Dials nothing yet. `within` is the limit for name, connection, TLS and handshake together.
    pub fn new(endpoint: Url, tls: Arc<ClientConfig>, within: Duration) -> Self {
        Self { endpoint, tls: TlsConnector::from(tls), within }
    }

    /// Opens one websocket with this key.
    pub async fn open(
        &self,
        key: &SecretString,
        user_agent: HeaderValue,
    ) -> anyhow::Result<Socket> {
        let place = || format!("websocket at {}", self.endpoint.host_str().unwrap_or_default());
        let opened = timeout(self.within, self.open_unhurried(key, user_agent)).await;
        opened.unwrap_or_else(|_| Err(anyhow!("no answer in time"))).with_context(place)
    }

    async fn open_unhurried(
        &self,
        key: &SecretString,
        user_agent: HeaderValue,
    ) -> anyhow::Result<Socket> {
        let request = self.request(key, user_agent)?;
        let stream = self.dial().await?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let (socket, _) = client_async_with_config(request, stream, Some(limits)).await?;
        Ok(socket)
    }

    fn request(&self, key: &SecretString, user_agent: HeaderValue) -> anyhow::Result<Request> {
        let uri = self.endpoint.as_str().parse()?;
        let mut request = ClientRequestBuilder::new(uri).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        headers.insert(AUTHORIZATION, authorization(key.expose_secret())?);
        headers.insert(USER_AGENT, user_agent);
        Ok(request)
    }

    async fn dial(&self) -> anyhow::Result<Box<dyn Stream>> {
        let host = self.endpoint.host().context("the websocket endpoint names no host")?;
        let port = self.endpoint.port_or_known_default().context("no port")?;
        let tcp = connect(&addresses(&host, port).await?).await?;
        // Packets are small and someone waits for each of them.
        tcp.set_nodelay(true)?;
        match self.endpoint.scheme() {
            "ws" => Ok(Box::new(tcp)),
            "wss" => Ok(Box::new(self.tls.connect(server_name(host)?, tcp).await?)),
            other => bail!("WEBSOCKET_ENDPOINT must begin with wss:// or ws://, not {other}://"),
        }
    }
}

async fn addresses(host: &Host<&str>, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    match *host {
        Host::Domain(name) => Ok(lookup_host((name, port)).await.context("look-up")?.collect()),
        Host::Ipv4(address) => Ok(vec![(address, port).into()]),
        Host::Ipv6(address) => Ok(vec![(address, port).into()]),
    }
}

/// The first address that accepts.
async fn connect(addresses: &[SocketAddr]) -> anyhow::Result<TcpStream> {
    let mut problem = anyhow!("the name has no address");
    for address in addresses {
        match timeout(DIAL_ONE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => problem = anyhow!(error).context(format!("connect to {address}")),
            Err(_) => problem = anyhow!("{address} does not accept a connection"),
        }
    }
    Err(problem)
}

fn server_name(host: Host<&str>) -> anyhow::Result<ServerName<'static>> {
    match host {
        Host::Domain(name) => Ok(ServerName::try_from(name.to_owned())?),
        Host::Ipv4(address) => Ok(ServerName::IpAddress(address.into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress(address.into())),
    }
}
