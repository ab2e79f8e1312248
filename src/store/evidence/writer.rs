//! From what the engine tells to files.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use crate::engine::event::{Ending, EventId, Kept, KeptFrame, RecordingId, Source};
use crate::engine::frame::Timestamp;
use crate::store::chain::hex;
use crate::store::evidence::pcapng::{self, Counts, Interface};
use crate::store::evidence::{Evidence, EvidenceDetail, file_name, folder};
use crate::store::make_for_group;

/// What the engine told, on its way to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// As [`Kept::Begin`].
    Begin(RecordingId, EventId),
    /// As [`Kept::Joined`].
    Joined(RecordingId, EventId),
    /// As [`Kept::Frame`].
    Frame(RecordingId, OwnedFrame, Vec<EventId>),
    /// As [`Kept::Secrets`].
    Secrets(RecordingId, String),
    /// As [`Kept::End`].
    End {
        /// The connection's name.
        recording: RecordingId,
        /// Why.
        ending: Ending,
        /// Frames that are not there.
        missed: u64,
        /// Whether the first that was seen is there.
        from_start: bool,
    },
}

/// A frame with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedFrame {
    time: Timestamp,
    source: Source,
    wire_len: u32,
    bytes: Box<[u8]>,
}

impl Step {
    /// Takes over what the engine told.
    pub fn of(kept: Kept<'_>) -> Self {
        match kept {
            Kept::Begin { recording, of } => Self::Begin(recording, of),
            Kept::Joined { recording, of } => Self::Joined(recording, of),
            Kept::Frame {
                recording,
                frame,
                events,
            } => Self::Frame(recording, OwnedFrame::of(&frame), events.to_vec()),
            Kept::Secrets { recording, lines } => Self::Secrets(recording, lines.to_owned()),
            Kept::End {
                recording,
                ending,
                missed,
                from_start,
            } => Self::End {
                recording,
                ending,
                missed,
                from_start,
            },
        }
    }

    /// Which connection it is about.
    pub fn recording(&self) -> RecordingId {
        match self {
            Self::Begin(recording, _)
            | Self::Joined(recording, _)
            | Self::Frame(recording, ..)
            | Self::Secrets(recording, _)
            | Self::End { recording, .. } => *recording,
        }
    }

    /// About how many bytes it holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Frame(_, frame, _) => frame.bytes.len(),
                Self::Secrets(_, lines) => lines.len(),
                _ => 0,
            }
    }

    /// The newest event that it names: it can be written when that one's number is known.
    pub fn needs(&self) -> Option<EventId> {
        match self {
            Self::Begin(_, of) | Self::Joined(_, of) => Some(*of),
            Self::Frame(_, _, events) => events.iter().max().copied(),
            Self::Secrets(..) | Self::End { .. } => None,
        }
    }
}

impl OwnedFrame {
    fn of(frame: &KeptFrame<'_>) -> Self {
        Self {
            time: frame.time,
            source: frame.source,
            wire_len: frame.wire_len,
            bytes: frame.bytes.into(),
        }
    }

    fn borrow(&self) -> KeptFrame<'_> {
        KeptFrame {
            time: self.time,
            source: self.source,
            wire_len: self.wire_len,
            bytes: &self.bytes,
        }
    }
}

/// A visit's number in the store, and its canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Its `seq`.
    pub seq: u64,
    /// Id of its canary.
    pub canary: String,
}

/// Numbers of visits that the store gave, by event. One that is not here has none: it folded.
pub type Numbers = BTreeMap<EventId, Numbered>;

/// Writes files of kept packets. It blocks: give it a thread of its own.
#[derive(Debug)]
pub struct EvidenceWriter {
    folder: PathBuf,
    interface: Interface,
    open: BTreeMap<RecordingId, OpenFile>,
}

/// A file that is being written.
#[derive(Debug)]
struct OpenFile {
    seq: u64,
    /// Visits that came later on the same connection.
    joined: Vec<u64>,
    file: BufWriter<File>,
    digest: Digest,
    bytes: u64,
    frames: u64,
    sources: Vec<Source>,
    /// The last frame, without its bytes.
    last: Option<OwnedFrame>,
    /// Whether secrets came after the packets that they open.
    late_secrets: bool,
    /// Why no more could be written.
    failed: bool,
}

impl EvidenceWriter {
    /// A writer for the data directory `directory`.
    pub fn new(directory: &Path) -> Self {
        Self {
            folder: folder(directory),
            interface: Interface::default(),
            open: BTreeMap::new(),
        }
    }

    /// Where frames come from, from now on.
    pub fn set_interface(&mut self, interface: &Interface) {
        if self.interface != *interface {
            self.interface.clone_from(interface);
        }
    }

    /// Does the next step; what is to be said of files that are complete by it. `lost` are frames
    /// that were dropped on the way here, `counts` what the capture counted so far.
    ///
    /// # Errors
    /// A file cannot be made or written. It is given up, which the end of its connection tells.
    pub fn take(
        &mut self,
        step: &Step,
        numbers: &Numbers,
        lost: u64,
        counts: Option<Counts>,
    ) -> io::Result<Vec<EvidenceDetail>> {
        match step {
            Step::Begin(recording, of) => {
                if let Some(visit) = numbers.get(of) {
                    let file = self.begin(visit)?;
                    self.open.insert(*recording, file);
                }
            }
            Step::Joined(recording, of) => {
                if let (Some(file), Some(visit)) = (self.open.get_mut(recording), numbers.get(of)) {
                    file.joined.push(visit.seq);
                }
            }
            Step::Frame(recording, frame, events) => {
                if let Some(file) = self.open.get_mut(recording) {
                    return file
                        .put(frame, events, numbers, &self.interface)
                        .map(|()| Vec::new());
                }
            }
            Step::Secrets(recording, lines) => {
                if let Some(file) = self.open.get_mut(recording) {
                    file.late_secrets |= file.frames > 0;
                    return file.write(&pcapng::secrets(lines)).map(|()| Vec::new());
                }
            }
            Step::End {
                recording,
                ending,
                missed,
                from_start,
            } => {
                if let Some(file) = self.open.remove(recording) {
                    let end = End {
                        ending: *ending,
                        missed: missed + lost,
                        lost,
                        from_start: *from_start,
                        counts,
                    };
                    return Ok(self.finish(file, &end));
                }
            }
        }
        Ok(Vec::new())
    }

    /// Hands to the system what was written so far.
    ///
    /// # Errors
    /// A file cannot be written. It is given up.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        for file in self.open.values_mut() {
            if let Err(error) = file.file.flush() {
                file.failed = true;
                outcome = Err(error);
            }
        }
        outcome
    }

    fn begin(&self, visit: &Numbered) -> io::Result<OpenFile> {
        make_folder(&self.folder)?;
        let file = make_file(&self.folder.join(file_name(visit.seq)))?;
        let mut file = OpenFile {
            seq: visit.seq,
            joined: Vec::new(),
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            digest: Digest::default(),
            bytes: 0,
            frames: 0,
            sources: Vec::new(),
            last: None,
            late_secrets: false,
            failed: false,
        };
        let comment = format!(
            "event {}, canary {}, canarytap {VERSION}: the connection of a visit",
            visit.seq, visit.canary
        );
        file.write(&pcapng::section(&comment, &format!("canarytap {VERSION}")))?;
        Ok(file)
    }

    /// Completes a file: it is on disk, with its names, when this returns.
    fn finish(&self, mut file: OpenFile, end: &End) -> Vec<EvidenceDetail> {
        let path = self.folder.join(file_name(file.seq));
        let written = file
            .end(end)
            .and_then(|()| file.file.flush())
            .and_then(|()| file.file.get_ref().sync_all())
            .and_then(|()| match file.late_secrets {
                true => file.put_secrets_first(&path),
                false => Ok(()),
            });
        let time = file.last.as_ref().map(|last| last.time).unwrap_or_default();
        if file.failed || written.is_err() {
            let _gone = fs::remove_file(&path); // what is left of it says nothing
            let names = std::iter::once(file.seq).chain(file.joined);
            return names.map(|of| lost(of, time)).collect();
        }
        let kept = Evidence {
            state: Evidence::KEPT.into(),
            file: file_name(file.seq),
            sha256: Some(file.digest.finish()),
            bytes: Some(file.bytes),
            frames: Some(file.frames),
            ended: Some(end.ending.name().into()),
            missed: Some(end.missed).filter(|missed| *missed > 0),
            start_missed: (!end.from_start).then_some(true),
        };
        let detail = |of, file, shared_with| EvidenceDetail {
            of,
            time,
            evidence: Evidence {
                file,
                ..kept.clone()
            },
            shared_with,
        };
        let mut details = vec![detail(file.seq, file_name(file.seq), None)];
        for seq in &file.joined {
            // Where the file system has no links, the first name stands for all.
            let name = match fs::hard_link(&path, self.folder.join(file_name(*seq))) {
                Ok(()) => file_name(*seq),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => file_name(*seq),
                Err(_) => file_name(file.seq),
            };
            details.push(detail(*seq, name, Some(file.seq)));
        }
        let _unsynced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        details
    }
}

/// How a recording ended.
struct End {
    ending: Ending,
    missed: u64,
    /// Of these, those that were dropped on their way to the writer.
    lost: u64,
    from_start: bool,
    counts: Option<Counts>,
}

impl OpenFile {
    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        if self.failed {
            return Ok(()); // said once
        }
        self.digest.update(block);
        self.bytes += block.len() as u64;
        let written = self.file.write_all(block);
        self.failed = written.is_err();
        written
    }

    fn put(
        &mut self,
        frame: &OwnedFrame,
        events: &[EventId],
        numbers: &Numbers,
        interface: &Interface,
    ) -> io::Result<()> {
        let number = match self.sources.iter().position(|one| *one == frame.source) {
            Some(number) => number,
            None => {
                self.write(&pcapng::interface(frame.source, interface))?;
                self.sources.push(frame.source);
                self.sources.len() - 1
            }
        };
        let events = events.iter().filter_map(|event| numbers.get(event));
        let comments: Vec<String> = events
            .map(|visit| format!("completes event {}, canary {}", visit.seq, visit.canary))
            .collect();
        let block = pcapng::packet(number as u32, &frame.borrow(), &comments);
        self.write(&block)?;
        self.frames += 1;
        self.last = Some(OwnedFrame {
            bytes: Box::default(),
            ..frame.clone_header()
        });
        Ok(())
    }

    /// Writes the file anew, in another order; a crash leaves the one or the other.
    fn put_secrets_first(&mut self, path: &Path) -> io::Result<()> {
        let blocks = pcapng::secrets_first(&fs::read(path)?);
        let beside = path.with_extension("part");
        let mut new = make_file(&beside)?;
        new.write_all(&blocks)?;
        new.sync_all()?;
        fs::rename(&beside, path)?;
        self.digest = Digest::default();
        self.digest.update(&blocks);
        Ok(())
    }

    /// What the capture counted, and what is missing.
    fn end(&mut self, end: &End) -> io::Result<()> {
        let Some(last) = self.last.clone() else {
            return Ok(());
        };
        let mut comment = format!("ended: {}", end.ending.name());
        if !end.from_start {
            comment.push_str("; the first frames that were seen of the connection are not here");
        }
        if end.missed > 0 {
            comment.push_str(&format!("; {} of its frames are not here", end.missed));
        }
        if end.lost > 0 {
            comment.push_str(&format!(
                "; of these, {} because the disk was slow",
                end.lost
            ));
        }
        let sources = self.sources.len() as u32;
        for number in 0..sources {
            let block = pcapng::statistics(number, &last.borrow(), end.counts, &comment);
            self.write(&block)?;
        }
        Ok(())
    }
}

impl OwnedFrame {
    fn clone_header(&self) -> Self {
        Self {
            time: self.time,
            source: self.source,
            wire_len: self.wire_len,
            bytes: Box::default(),
        }
    }
}

fn lost(of: u64, time: Timestamp) -> EvidenceDetail {
    EvidenceDetail {
        of,
        time,
        evidence: Evidence::without_file(Evidence::LOST, file_name(of)),
        shared_with: None,
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    make_for_group(folder)?;
    let parent = folder.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all())
}

/// What an earlier start left half-written under this number is replaced.
fn make_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// SHA-256 of what is written to it.
pub(super) struct Digest(Context);

impl Default for Digest {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

impl Digest {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hex.
    pub(super) fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const BUFFER_BYTES: usize = 64 << 10;
/// As the database's, less the group's right to change it.
const FILE_MODE: u32 = 0o640;
