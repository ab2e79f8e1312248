//! The laptop's side: asks, checks, keeps.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read as _, Write};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use crate::pull::files::{FOLDER, is_name};
use crate::pull::protocol::{
    ANSWER_MAX, Answer, KeptFile, PAGE_ROWS, PIECE_BYTES, Question, VERSION, read, write,
};
use crate::pull::{CopyHome, PullError};
use crate::store::{Ack, Head, Row, StoreCopy};

/// What a pull brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Links of the chain.
    pub links: u64,
    /// Background requests.
    pub requests: u64,
    /// Minted canaries.
    pub canaries: u64,
    /// Files with kept packets.
    pub files: u64,
    /// The newest link.
    pub head: Option<Head>,
    /// Files that are not what the chain says of them, and why they were not taken.
    pub refused: Vec<String>,
}

/// Asks a tap over a connection.
#[derive(Debug)]
pub struct Client<'a, R, W> {
    home: &'a CopyHome,
    from: R,
    to: W,
    /// Bytes that the copy may take up.
    limit: u64,
    pulled: Pulled,
}

impl<'a, R: BufRead, W: Write> Client<'a, R, W> {
    /// A client of whoever answers on `from` what is asked on `to`.
    pub fn new(home: &'a CopyHome, from: R, to: W, limit: u64) -> Self {
        Self {
            home,
            from,
            to,
            limit,
            pulled: Pulled::default(),
        }
    }

    /// Pulls all that is new.
    ///
    /// # Errors
    /// See [`PullError`]. What came before stays, and the next pull goes on from there.
    pub fn pull(mut self) -> Result<Pulled, PullError> {
        self.greet()?; // before anything is made here
        let directory = self.home.directory();
        let mut copy = StoreCopy::open(&directory, self.limit / REQUESTS_SHARE)?;
        let remembered = self.home.remembered()?;
        self.pulled.head = copy.link_up_to(u64::MAX)?;
        self.compare(&copy, remembered.as_ref())?;
        let requests_before = copy.last_request()?;
        self.rows(&mut copy, remembered.as_ref())?;
        self.statuses(&mut copy, requests_before)?;
        self.canaries(&mut copy)?;
        self.present(&mut copy)?;
        self.files(&copy)?;
        if let Some(head) = &self.pulled.head {
            copy.has_packets_up_to(head.seq)?;
        }
        Ok(self.pulled)
    }

    fn greet(&mut self) -> Result<(), PullError> {
        let hello = Question::Hello { protocol: VERSION };
        match self.ask(&hello)? {
            Answer::Hello { protocol, .. } if protocol == VERSION => Ok(()),
            Answer::Hello { protocol, .. } => Err(PullError::Version(protocol)),
            other => Err(unexpected(&other)),
        }
    }

    /// Copy, memory and tap must agree as far as they go.
    fn compare(&mut self, copy: &StoreCopy, remembered: Option<&Head>) -> Result<(), PullError> {
        let newest = self.pulled.head.clone();
        let newest_seq = newest.as_ref().map_or(0, |head| head.seq);
        if let Some(remembered) = remembered.filter(|head| head.seq <= newest_seq) {
            if copy.link_up_to(remembered.seq)?.as_ref() != Some(remembered) {
                return Err(PullError::CopyChanged {
                    directory: self.home.directory(),
                    remembered: remembered.clone(),
                });
            }
        }
        let Some(newest) = newest else { return Ok(()) };
        if self.link_up_to(newest.seq)?.as_ref() == Some(&newest) {
            return Ok(());
        }
        Err(self.difference(copy, newest)?)
    }

    /// Where two histories part. A chain that agrees at one link agrees at all before it.
    fn difference(&mut self, copy: &StoreCopy, newest: Head) -> Result<PullError, PullError> {
        let shown = self.link_up_to(u64::MAX)?;
        if shown.is_none() {
            return Ok(PullError::Shortened {
                remembered: newest,
                shown,
            });
        }
        if let Some(last) = shown.as_ref().filter(|last| last.seq < newest.seq) {
            if copy.link_up_to(last.seq)?.as_ref() == Some(last) {
                return Ok(PullError::Shortened {
                    remembered: newest,
                    shown,
                });
            }
        }
        let (mut same, mut other) = (0, newest.seq);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            match copy.link_up_to(middle)? == self.link_up_to(middle)? {
                true => same = middle,
                false => other = middle,
            }
        }
        Ok(PullError::Rewritten {
            first: other,
            kept: copy.link_up_to(other)?.filter(|link| link.seq == other),
            shown: self.link_up_to(other)?.filter(|link| link.seq == other),
        })
    }

    fn rows(&mut self, copy: &mut StoreCopy, remembered: Option<&Head>) -> Result<(), PullError> {
        loop {
            let question = Question::Rows {
                link: self.pulled.head.as_ref().map_or(0, |head| head.seq),
                request: copy.last_request()?,
            };
            let rows = match self.ask(&question)? {
                Answer::Rows(rows) => bounded(rows)?,
                other => return Err(unexpected(&other)),
            };
            if rows.is_empty() {
                break;
            }
            self.passes(remembered, &rows)?;
            copy.add(&rows)?;
            self.note(&rows)?;
            self.stay_within()?;
        }
        let seq = self.pulled.head.as_ref().map_or(0, |head| head.seq);
        match remembered.filter(|remembered| remembered.seq > seq) {
            None => Ok(()),
            Some(remembered) => Err(PullError::Shortened {
                remembered: remembered.clone(),
                shown: self.pulled.head.clone(),
            }),
        }
    }

    /// A copy that was lost is pulled again, and must come by what is remembered of the tap.
    fn passes(&self, remembered: Option<&Head>, rows: &[Row]) -> Result<(), PullError> {
        let known = self.pulled.head.as_ref().map_or(0, |head| head.seq);
        let Some(remembered) = remembered.filter(|remembered| remembered.seq > known) else {
            return Ok(());
        };
        let mut links = rows.iter().filter_map(link_of);
        let reached = links.find(|link| link.seq >= remembered.seq);
        match reached.filter(|reached| reached != remembered) {
            None => Ok(()),
            Some(other) => Err(PullError::Rewritten {
                first: remembered.seq,
                kept: Some(remembered.clone()),
                shown: Some(other).filter(|other| other.seq == remembered.seq),
            }),
        }
    }

    fn note(&mut self, rows: &[Row]) -> Result<(), PullError> {
        let count = rows.iter().filter_map(link_of).count() as u64;
        self.pulled.links += count;
        self.pulled.requests += rows.len() as u64 - count;
        if let Some(head) = rows.iter().rev().find_map(link_of) {
            self.home.remember(&head)?;
            self.pulled.head = Some(head);
        }
        Ok(())
    }

    /// Requests that were pulled before their answers were seen.
    fn statuses(&mut self, copy: &mut StoreCopy, last: u64) -> Result<(), PullError> {
        let window = last.saturating_sub(STATUS_WINDOW);
        let Some((mut first, _)) = copy.without_status(window)? else {
            return Ok(());
        };
        while first <= last {
            let statuses = match self.ask(&Question::Statuses { first, last })? {
                Answer::Statuses(statuses) => bounded(statuses)?,
                other => return Err(unexpected(&other)),
            };
            let Some((newest, _)) = statuses.last().copied() else {
                break;
            };
            copy.set_statuses(&statuses)?;
            first = newest.max(first).saturating_add(1);
        }
        Ok(())
    }

    fn canaries(&mut self, copy: &mut StoreCopy) -> Result<(), PullError> {
        let known = copy.minted()?;
        let mut from = known;
        loop {
            let canaries = match self.ask(&Question::Canaries { from })? {
                Answer::Canaries(canaries) => bounded(canaries)?,
                other => return Err(unexpected(&other)),
            };
            if canaries.is_empty() {
                break;
            }
            from += canaries.len() as u64;
            copy.add_canaries(&canaries)?;
            self.stay_within()?;
        }
        self.pulled.canaries = copy.minted()?.saturating_sub(known);
        Ok(())
    }

    fn present(&mut self, copy: &mut StoreCopy) -> Result<(), PullError> {
        let mut acks: Vec<Ack> = Vec::new();
        while acks.len() < ACKS_MAX {
            let after = acks.last().map_or(0, |ack| ack.seq);
            match self.ask(&Question::Acks { after })? {
                Answer::Acks(page) if page.is_empty() => break,
                Answer::Acks(page) => acks.extend(bounded(page)?),
                other => return Err(unexpected(&other)),
            }
        }
        match self.ask(&Question::Present)? {
            Answer::Present { configured, floods } => {
                Ok(copy.refresh(&configured, &acks, &floods)?)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn files(&mut self, copy: &StoreCopy) -> Result<(), PullError> {
        let folder = self.home.directory().join(FOLDER);
        let mut after = String::new();
        loop {
            let files = match self.ask(&Question::Files {
                after: after.clone(),
            })? {
                Answer::Files(files) => bounded(files)?,
                other => return Err(unexpected(&other)),
            };
            let Some(last) = files.last() else {
                return Ok(());
            };
            if last.name <= after {
                return Err(PullError::Protocol("the list of files goes round".into()));
            }
            after.clone_from(&last.name);
            for file in &files {
                if !is_name(&file.name) {
                    return Err(PullError::Protocol(format!(
                        "{:?} is no name of a kept file",
                        file.name
                    )));
                }
                self.file(copy, &folder, file)?;
            }
        }
    }

    /// A file is taken once the chain says what it is.
    fn file(&mut self, copy: &StoreCopy, folder: &Path, file: &KeptFile) -> Result<(), PullError> {
        let path = folder.join(&file.name);
        if path.exists() {
            return Ok(());
        }
        let Some(digest) = copy.digest_of(&file.name)? else {
            return Ok(()); // it still grows
        };
        make_folder(folder)?;
        let part = folder.join(format!("{}.part", file.name));
        let resumed = part.exists();
        let mut taken = self.take(&part, &file.name, file.size)?;
        if taken != digest && resumed {
            fs::remove_file(&part).map_err(failed(&part))?; // once more, from its beginning
            taken = self.take(&part, &file.name, file.size)?;
        }
        if taken == digest {
            self.pulled.files += 1;
            return keep(&part, &path, folder);
        }
        fs::remove_file(&part).map_err(failed(&part))?;
        self.pulled.refused.push(format!(
            "{}: its SHA-256 is {taken}, and the chain says {digest}",
            file.name
        ));
        Ok(())
    }

    /// Takes what is missing of a file, and gives the SHA-256 of all of it.
    fn take(&mut self, part: &Path, name: &str, size: u64) -> Result<String, PullError> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        let mut out = options.open(part).map_err(failed(part))?;
        let mut offset = out.metadata().map_err(failed(part))?.len();
        while offset < size {
            let bytes = self.piece(name, offset)?;
            if bytes.is_empty() {
                break; // it became shorter, and its hash will be another
            }
            out.write_all(&bytes).map_err(failed(part))?;
            offset += bytes.len() as u64;
            self.stay_within()?;
        }
        out.sync_all().map_err(failed(part))?;
        sha256_of(part).map_err(failed(part))
    }

    fn piece(&mut self, name: &str, offset: u64) -> Result<Vec<u8>, PullError> {
        let question = Question::Piece {
            name: name.to_owned(),
            offset,
        };
        match self.ask(&question)? {
            Answer::Piece { bytes, .. } if bytes <= PIECE_BYTES => {
                let mut piece = vec![0; bytes];
                self.from
                    .read_exact(&mut piece)
                    .map_err(PullError::Connection)?;
                Ok(piece)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn link_up_to(&mut self, up_to: u64) -> Result<Option<Head>, PullError> {
        match self.ask(&Question::Link { up_to })? {
            Answer::Link(link) => Ok(link),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, PullError> {
        write(&mut self.to, question).map_err(PullError::Connection)?;
        match read(&mut self.from, ANSWER_MAX) {
            Ok(Some(Answer::Refused(why))) => Err(PullError::Refused(why)),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(PullError::Connection(io::ErrorKind::UnexpectedEof.into())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(PullError::Connection(error))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(PullError::Protocol(error.to_string()))
            }
            Err(error) => Err(PullError::Connection(error)),
        }
    }

    fn stay_within(&self) -> Result<(), PullError> {
        match copy_size(&self.home.directory()) > self.limit {
            true => Err(PullError::TooLarge { limit: self.limit }),
            false => Ok(()),
        }
    }
}

fn link_of(row: &Row) -> Option<Head> {
    match row {
        Row::Visit { seq, hash, .. } => Some(Head {
            seq: *seq,
            hash: hash.clone(),
        }),
        Row::Request { .. } => None,
    }
}

/// A page of the size that was agreed upon.
fn bounded<T>(page: Vec<T>) -> Result<Vec<T>, PullError> {
    match page.len() <= PAGE_ROWS {
        true => Ok(page),
        false => Err(PullError::Protocol("a page is too long".into())),
    }
}

fn unexpected(answer: &Answer) -> PullError {
    let text: String = format!("{answer:?}").chars().take(SHOWN_MAX).collect();
    PullError::Protocol(format!("this is no answer: {text}"))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> PullError {
    let path = path.to_path_buf();
    move |error| PullError::File(path, error)
}

fn make_folder(folder: &Path) -> Result<(), PullError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir(folder)
        .and_then(|()| File::open(parent)?.sync_all())
        .map_err(failed(folder))
}

fn keep(part: &Path, path: &Path, folder: &Path) -> Result<(), PullError> {
    fs::rename(part, path)
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(failed(path))
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; PIECE_BYTES]);
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        context.update(buffer.get(..length).unwrap_or_default());
    }
    let digest = context.finish();
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok(hex.collect())
}

/// Bytes of database, log and kept files.
fn copy_size(directory: &Path) -> u64 {
    let size = |folder: &PathBuf| -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let files = entries.filter_map(|entry| entry.ok()?.metadata().ok());
        files.map(|file| file.len()).sum()
    };
    [directory.to_path_buf(), directory.join(FOLDER)]
        .iter()
        .map(size)
        .sum()
}

/// One part in so many of the limit is for background requests; the oldest go first.
const REQUESTS_SHARE: u64 = 4;
/// So far behind the newest request statuses are still looked for.
const STATUS_WINDOW: u64 = 10_000;
/// Acknowledgements that are taken over at most.
const ACKS_MAX: usize = 100_000;
/// Characters that are shown of what the other side should not have said.
const SHOWN_MAX: usize = 200;
