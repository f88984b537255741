//! The checker of the text workload: what was acknowledged against what a reader printed.
//!
//! A reader is a directory with one file per partition, the values as they were read, one per line. For each reader:
//! every acknowledged line is there, with its text, in its partition, once; none that was not acknowledged; and per
//! producer and partition the sequence numbers ascend. With `--lost prefix` acknowledged lines may be missing, but
//! only behind everything in their partition that was read (by acknowledged offset).

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::Options;
use crate::text_produce::{lines, partition_of};

/// True if every reader read what was acknowledged.
pub fn run(options: &Options) -> Result<bool> {
    let corpus = std::fs::read(options.get("corpus")?)?;
    let lines: Vec<&[u8]> = lines(&corpus).collect();
    let partitions = options.number("partitions", 8)?;
    let acked = Acked::load(&options.all("acked"), lines.len())?;
    let may_lose = options.all("lost").contains(&"prefix");
    println!(
        "acknowledged: {} of {} lines ({:.1} MB), {} acknowledged twice",
        acked.count,
        lines.len(),
        corpus.len() as f64 / 1e6,
        acked.twice
    );
    let mut good = acked.twice == 0 && (may_lose || acked.count == lines.len());
    for reader in options.all("read") {
        let (name, directory) = reader.split_once('=').context("--read NAME=DIRECTORY")?;
        let mut found = Found::new(lines.len());
        for partition in 0..partitions {
            let path = Path::new(directory).join(partition.to_string());
            found.read(&path, partition, partitions, &lines, acked.producers)?;
        }
        good &= found.judge(name, &acked, partitions, may_lose);
    }
    Ok(good)
}

/// The offset at which each line was acknowledged, by its place in the corpus.
struct Acked {
    producers: usize,
    offsets: Vec<Option<u64>>,
    count: usize,
    twice: usize,
}

impl Acked {
    fn load(files: &[&str], lines: usize) -> Result<Self> {
        let mut acked = Self {
            producers: files.len(),
            offsets: vec![None; lines],
            count: 0,
            twice: 0,
        };
        for (producer, file) in files.iter().enumerate() {
            for line in BufReader::new(std::fs::File::open(file)?).lines() {
                let line = line?;
                let mut words = line.split(' ');
                let (Some(seq), Some(_), Some(offset)) = (words.next(), words.next(), words.next())
                else {
                    bail!("{file}: {line:?}");
                };
                let place = seq.parse::<usize>()? * acked.producers + producer;
                // A retry that the broker already had is acknowledged without its offset (-1).
                let offset = offset.parse::<i64>()?.try_into().unwrap_or(0);
                let slot = acked
                    .offsets
                    .get_mut(place)
                    .context("a seq beyond the corpus")?;
                match slot.replace(offset) {
                    None => acked.count += 1,
                    Some(_) => acked.twice += 1,
                }
            }
        }
        Ok(acked)
    }
}

struct Found {
    times: Vec<u8>,
    read: usize,
    foreign: usize,
    disordered: usize,
    first_bad: Option<String>,
}

impl Found {
    fn new(lines: usize) -> Self {
        Self {
            times: vec![0; lines],
            read: 0,
            foreign: 0,
            disordered: 0,
            first_bad: None,
        }
    }

    fn read(
        &mut self,
        path: &Path,
        partition: usize,
        partitions: usize,
        lines: &[&[u8]],
        producers: usize,
    ) -> Result<()> {
        let file = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
        if file.is_empty() {
            return Ok(());
        }
        let mut last: Vec<Option<usize>> = vec![None; producers];
        for line in self::lines(&file) {
            self.read += 1;
            let place = parse(line).and_then(|(producer, seq, text)| {
                let place = seq * producers + producer;
                let expected = *lines.get(place)?;
                let here = producer < producers && partition_of(seq, partitions) == partition;
                (here && expected == text).then_some((producer, seq, place))
            });
            let Some((producer, seq, place)) = place else {
                self.foreign += 1;
                self.note(partition, line);
                continue;
            };
            if last[producer].is_some_and(|last| seq < last) {
                self.disordered += 1;
                self.note(partition, line);
            }
            last[producer] = Some(seq);
            self.times[place] = self.times[place].saturating_add(1);
        }
        Ok(())
    }

    fn note(&mut self, partition: usize, line: &[u8]) {
        let start = &line[..line.len().min(80)];
        let text = || {
            format!(
                "partition {partition}: {:?}",
                String::from_utf8_lossy(start)
            )
        };
        self.first_bad.get_or_insert_with(text);
    }

    fn judge(&self, name: &str, acked: &Acked, partitions: usize, may_lose: bool) -> bool {
        let each = || self.times.iter().zip(&acked.offsets);
        let missing = each()
            .filter(|(times, acked)| acked.is_some() && **times == 0)
            .count();
        let twice = self.times.iter().filter(|times| **times > 1).count();
        let unacked = each()
            .filter(|(times, acked)| acked.is_none() && **times > 0)
            .count();
        println!(
            "{name}: read {}, missing {missing}, twice {twice}, out of order {}, \
             not acknowledged {unacked}, foreign or damaged {}",
            self.read, self.disordered, self.foreign
        );
        if let Some(bad) = &self.first_bad {
            println!("{name}: the first bad line: {bad}");
        }
        let clean = twice == 0 && self.disordered == 0 && self.foreign == 0;
        if may_lose {
            return clean && self.is_prefix(name, acked, partitions);
        }
        clean && missing == 0 && unacked == 0
    }

    fn is_prefix(&self, name: &str, acked: &Acked, partitions: usize) -> bool {
        let mut highest_read = vec![None; partitions];
        let mut lowest_lost = vec![None; partitions];
        for (place, offset) in acked.offsets.iter().enumerate() {
            let Some(offset) = *offset else { continue };
            let partition = partition_of(place / acked.producers, partitions);
            if self.times[place] > 0 {
                highest_read[partition] = highest_read[partition].max(Some(offset));
            } else if lowest_lost[partition].is_none_or(|lowest| offset < lowest) {
                lowest_lost[partition] = Some(offset);
            }
        }
        let mut good = true;
        for partition in 0..partitions {
            if let Some(lost) = lowest_lost[partition] {
                let read = highest_read[partition];
                let ok = read.is_none_or(|read| read < lost);
                println!(
                    "{name}: partition {partition}: read up to offset {read:?}, lost from {lost}{}",
                    if ok { "" } else { ": NOT A PREFIX" }
                );
                good &= ok;
            }
        }
        good
    }
}

fn parse(line: &[u8]) -> Option<(usize, usize, &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (prefix, text) = (
        std::str::from_utf8(&line[..space]).ok()?,
        &line[space + 1..],
    );
    let (producer, seq) = prefix.split_once('-')?;
    Some((producer.parse().ok()?, seq.parse().ok()?, text))
}
