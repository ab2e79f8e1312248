//! Mail by SMTP.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport as _};

use crate::config::{Carrier, Login, Server};
use crate::outbound::{Message, SendError, Sink, host_name, secrets, tls};

/// Sends each alert as one mail.
pub(super) struct Email {
    server: Server,
    login: Option<Login>,
    from: String,
    to: Vec<String>,
    ca: Option<PathBuf>,
    transport: Option<SmtpTransport>,
}

impl Email {
    pub(super) fn new(
        server: Server,
        login: Option<Login>,
        from: String,
        to: Vec<String>,
        ca: Option<PathBuf>,
    ) -> Self {
        Self {
            server,
            login,
            from,
            to,
            ca,
            transport: None,
        }
    }

    fn connect(&self) -> Result<SmtpTransport, SendError> {
        let server = &self.server;
        let tls = match server.carrier {
            Carrier::Tls => Tls::Wrapper(self.tls()?),
            Carrier::StartTls => Tls::Required(self.tls()?),
            Carrier::Tcp | Carrier::Udp => Tls::None,
        };
        let mut builder = SmtpTransport::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let Some(login) = &self.login {
            let password = secrets::read(&login.password)?;
            builder = builder.credentials(Credentials::new(login.user.clone(), password));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<TlsParameters, SendError> {
        let mut builder = TlsParameters::builder(self.server.host.clone())
            .certificate_store(CertificateStore::None);
        for root in tls::roots(self.ca.as_ref())? {
            let root = Certificate::from_der(root.to_vec()).map_err(SendError::later)?;
            builder = builder.add_root_certificate(root);
        }
        builder.build().map_err(SendError::later)
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, SendError> {
        // The same alert has the same id, so that a mailbox knows one that came twice.
        let id = format!(
            "<{}.{}@{}.canarytap>",
            message.seq,
            digits(&message.time),
            host_name()
        );
        let mut mail: MessageBuilder = lettre::Message::builder()
            .from(mailbox(&self.from)?)
            .subject(&message.title)
            .message_id(Some(id));
        for to in &self.to {
            mail = mail.to(mailbox(to)?);
        }
        let body = format!("{}\r\n\r\n{}\r\n", message.text, message.json);
        mail.header(ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(|error| SendError::Refused(error.to_string()))
    }
}

impl Sink for Email {
    fn send(&mut self, message: &Message) -> Result<(), SendError> {
        let mail = self.mail(message)?;
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => self.connect()?,
        };
        transport.send(&mail).map_err(judge)?;
        self.transport = Some(transport);
        Ok(())
    }
}

fn mailbox(text: &str) -> Result<Mailbox, SendError> {
    text.parse().map_err(SendError::later)
}

fn digits(time: &str) -> String {
    time.chars().filter(char::is_ascii_digit).collect()
}

/// A server that will not take this mail says 552 or 554 (RFC 5321 §4.2.3); whatever else is
/// wrong, it may be mended.
fn judge(error: SmtpError) -> SendError {
    let code = error.status().map(|code| code.to_string());
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        why = format!("{why}: {deeper}");
        source = deeper.source();
    }
    let why: String = why.chars().filter(|sign| !sign.is_control()).collect();
    match code.as_deref() {
        Some("552" | "554") => SendError::Refused(why),
        _ => SendError::Later(why),
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::message::tests::event;

    #[test]
    fn no_visitor_can_add_a_header_or_a_recipient() {
        let server = Server {
            url: "smtp://mail.example".into(),
            carrier: Carrier::Tcp,
            host: "mail.example".into(),
            port: 25,
        };
        let to = vec!["Anna <anna@example.org>".to_owned()];
        let email = Email::new(server, None, "tap@example.org".into(), to, None);
        let mut hostile = event(41);
        hostile.label = Some("x\r\nBcc: evil@example.net\r\n\r\nbody".into());
        hostile.channel = Some("ä\nTo: evil@example.net".into());
        hostile.target = Some("/\r\n.\r\nQUIT\r\n".into());
        let mail = email.mail(&Message::of(&hostile)).unwrap();
        assert_eq!(mail.envelope().to().len(), 1);
        let text = String::from_utf8(mail.formatted()).unwrap();
        let (headers, body) = text.split_once("\r\n\r\n").unwrap();
        for name in ["Bcc:", "QUIT"] {
            assert!(
                !headers.lines().any(|line| line.starts_with(name)),
                "{headers}"
            );
        }
        assert_eq!(headers.matches("\r\nTo: ").count(), 1, "{headers}");
        assert!(!body.contains("\r\n.\r\n"), "{body}");
        assert!(
            headers.contains("Message-ID: <41.20130430172832104512@"),
            "{headers}"
        );
    }
}
