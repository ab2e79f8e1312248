//! The archive: its files, and their digests.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::cli::export::{Export, cannot_write, check, page};
use crate::cli::{Failure, export::ConfigDigest};
use crate::store::{EVIDENCE, Evidence, Head, Row, TapStore, sha256_hex};

/// Writes the bundle to `file`, which lies at `path`.
pub(super) fn write(
    export: &Export,
    store: &TapStore,
    file: File,
    path: &Path,
) -> Result<(), Failure> {
    let failed = |error: io::Error| cannot_write(path, &error);
    let mut archive = Archive::over(file);
    let packets = packets(export, store)?;
    if let Some((evidence, source)) = &packets {
        let name = format!("{EVIDENCE}/{}", evidence.file);
        let copied = archive.add(&name, |out| io::copy(&mut File::open(source)?, out));
        let (_, digest) = copied.map_err(failed)?;
        if Some(&digest) != evidence.sha256.as_ref() {
            return Err(Failure::Bad(format!(
                "{} is not the file that was kept: `canarytap verify` says more. Nothing is exported",
                source.display()
            )));
        }
    }
    let (chain, _) = archive
        .add("chain.jsonl", |out| Ok(chain(export, store, out)))
        .map_err(failed)?;
    let chain = chain?;
    let evidence = packets.as_ref().map(|(evidence, _)| evidence);
    let event = serde_json::to_string_pretty(&export.event).unwrap_or_default();
    archive
        .text("event.json", &(event + "\n"))
        .map_err(failed)?;
    let around: String = export
        .around
        .iter()
        .map(|record| format!("{record}\n"))
        .collect();
    archive.text("around.jsonl", &around).map_err(failed)?;
    let about = format!("{:#}\n", about(export, &chain));
    archive.text("about.json", &about).map_err(failed)?;
    let readme = check::text(export, &chain, evidence);
    archive.text("README.txt", &readme).map_err(failed)?;
    let page = page::page(export, &chain, evidence).into_string();
    archive.text("index.html", &page).map_err(failed)?;
    archive.finish().map_err(failed)
}

/// The part of the chain that went in.
pub(super) struct Chain {
    /// How many links.
    pub(super) links: u64,
    /// What the first says of the one before it.
    pub(super) before: String,
    /// The first and the last.
    pub(super) first: Head,
    pub(super) last: Head,
    /// The event's own.
    pub(super) event: String,
}

/// Writes the links, each checked, a line for each.
fn chain(export: &Export, store: &TapStore, out: &mut dyn Write) -> Result<Chain, Failure> {
    let mut after = export
        .from
        .as_ref()
        .map_or(0, |head| head.seq.saturating_sub(1));
    let mut chain: Option<Chain> = None;
    'pages: loop {
        let rows = store.reader.rows((after, u64::MAX), ROWS, BYTES)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let Row::Visit { seq, record, hash } = row else {
                continue;
            };
            if seq > export.through {
                break 'pages;
            }
            after = seq;
            let prev = checked(&record, &hash).ok_or_else(|| broken(seq))?;
            let head = Head { seq, hash };
            let first = chain.is_none();
            let chain = chain.get_or_insert_with(|| Chain {
                links: 0,
                before: prev.clone(),
                first: head.clone(),
                last: head.clone(),
                event: String::new(),
            });
            if !first && chain.last.hash != prev {
                return Err(broken(seq));
            }
            if seq == export.seq {
                chain.event.clone_from(&head.hash);
            }
            chain.links += 1;
            chain.last = head;
            writeln!(out, "{record}")?;
        }
    }
    let chain = chain.ok_or_else(|| broken(export.seq))?;
    match &export.from {
        Some(head) if *head != chain.first => Err(Failure::Bad(format!(
            "the link {head} is not in the chain: it was rewritten, or is another tap's"
        ))),
        _ => Ok(chain),
    }
}

/// What a record names as the one before it, when its hash is right.
fn checked(record: &str, hash: &str) -> Option<String> {
    let value: Value = serde_json::from_str(record).ok()?;
    let prev = value.get("prev")?.as_str()?.to_owned();
    (sha256_hex(record.as_bytes()) == hash && !record.contains('\n')).then_some(prev)
}

fn broken(seq: u64) -> Failure {
    Failure::Bad(format!(
        "the chain does not hold at record {seq}: `canarytap verify` says more. Nothing is exported"
    ))
}

/// The event's file of packets, where there is one.
fn packets(
    export: &Export,
    store: &TapStore,
) -> Result<Option<(Evidence, std::path::PathBuf)>, Failure> {
    let evidence = export.event.evidence.clone().filter(Evidence::is_kept);
    let Some(evidence) = evidence else {
        return Ok(None);
    };
    // The name comes from a record: it is no path.
    if evidence.file != format!("{}.pcapng", export.seq) {
        return Err(broken(export.seq));
    }
    let path = store.directory.join(EVIDENCE).join(&evidence.file);
    if !path.is_file() {
        return Err(Failure::Bad(format!(
            "the packets are not there ({}): of a copy, `canarytap pull` brings them",
            path.display()
        )));
    }
    Ok(Some((evidence, path)))
}

fn about(export: &Export, chain: &Chain) -> Value {
    let config = export.config.as_ref().map(|ConfigDigest { path, sha256 }| {
        json!({"file": path.display().to_string(), "sha256": sha256})
    });
    json!({
        "made": export.made.to_string(),
        "made_by": format!("canarytap {}", env!("CARGO_PKG_VERSION")),
        "seq": export.seq,
        "tap": export.tap,
        "config": config,
        "links": chain.links,
        "before_first_link": chain.before,
        "first_link": chain.first.to_string(),
        "event_link": format!("{}:{}", export.seq, chain.event),
        "last_link": chain.last.to_string(),
        "remembered_link": export.remembered.as_ref().map(ToString::to_string),
    })
}

/// A ZIP archive that keeps account of what is in it.
struct Archive {
    zip: ZipWriter<BufWriter<File>>,
    sums: String,
}

impl Archive {
    fn over(file: File) -> Self {
        Self {
            zip: ZipWriter::new(BufWriter::new(file)),
            sums: String::new(),
        }
    }

    /// Adds a file; what `write` gave back, and the file's SHA-256.
    fn add<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> io::Result<(T, String)> {
        self.zip.start_file(name, SimpleFileOptions::default())?;
        let mut out = Summing {
            out: &mut self.zip,
            sum: Context::new(&SHA256),
        };
        let written = write(&mut out)?;
        let sum = out.sum.finish();
        let sum: String = sum
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.sums.push_str(&format!("{sum}  {name}\n"));
        Ok((written, sum))
    }

    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.add(name, |out| out.write_all(text.as_bytes()))
            .map(drop)
    }

    fn finish(mut self) -> io::Result<()> {
        let sums = std::mem::take(&mut self.sums);
        self.text("SHA256SUMS", &sums)?;
        let file = self
            .zip
            .finish()?
            .into_inner()
            .map_err(|error| error.into_error())?;
        file.sync_all()
    }
}

/// Passes on what is written, and sums it up.
struct Summing<'a, W: Write> {
    out: &'a mut W,
    sum: Context,
}

impl<W: Write> Write for Summing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Links that are read at once.
const ROWS: usize = 256;
const BYTES: usize = 1 << 20;
