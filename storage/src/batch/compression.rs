//! The four codecs of the protocol, over whole buffers.
//!
//! - Decompression never yields more than the caller allows, and never reserves more than a small
//!   multiple of the input before the input has shown that it is worth it.
//! - What is written is what the Java client writes: gzip, snappy in the Xerial framing, LZ4 frames
//!   of independent 64 KiB blocks, zstd. On reading, snappy may also be one bare block.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use zstd::zstd_safe;
use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;

use super::snappy;

/// The codec of a records section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Stored as it is.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy blocks in the Xerial stream framing.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// An attribute field names a codec that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression codec {id}")]
pub struct UnknownCompression {
    /// The codec's number, 5 to 7.
    pub id: i16,
}

/// How hard each codec tries: `compression.{gzip,lz4,zstd}.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionLevels {
    /// 1 to 9, or -1 for the library's default.
    pub gzip: i32,
    /// Accepted for compatibility: the encoder has one level.
    pub lz4: i32,
    /// -131072 to 22.
    pub zstd: i32,
}

impl Default for CompressionLevels {
    fn default() -> Self {
        Self {
            gzip: -1,
            lz4: 9,
            zstd: 3,
        }
    }
}

/// Why a section could not be compressed.
#[derive(Debug, thiserror::Error)]
#[error("compress with {codec:?}")]
pub struct CompressError {
    /// The codec in use.
    pub codec: Compression,
    /// What it reported.
    pub source: io::Error,
}

/// Why a section could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// It holds more than the caller accepts.
    #[error("decompresses to more than {size_max} bytes")]
    TooLarge {
        /// The caller's limit.
        size_max: usize,
    },
    /// It is not what the codec writes.
    #[error("decompress {codec:?}")]
    Corrupt {
        /// The codec named by the batch.
        codec: Compression,
        /// What it reported.
        source: io::Error,
    },
}

impl Compression {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec's number in the attributes.
    pub const fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    pub(super) const fn from_id(id: i16) -> Result<Self, UnknownCompression> {
        match id {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            id => Err(UnknownCompression { id }),
        }
    }

    /// The codec's name in configs; uncompressed is `uncompressed` there and `none` to producers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Appends the compressed form of `body` to `out`.
    ///
    /// # Errors
    /// [`CompressError`] if the codec refuses its level or runs out of memory.
    pub fn compress(
        self,
        body: &[u8],
        levels: &CompressionLevels,
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let done = match self {
            Self::None => {
                out.extend_from_slice(body);
                Ok(())
            }
            Self::Gzip => gzip(body, levels.gzip, out),
            Self::Snappy => snappy::compress(body, out),
            Self::Lz4 => lz4(body, out),
            Self::Zstd => zstd::stream::copy_encode(body, out, levels.zstd),
        };
        done.map_err(|source| CompressError {
            codec: self,
            source,
        })
    }

    /// The decompressed form of `body`, at most `size_max` bytes; borrowed for `None`.
    ///
    /// # Errors
    /// See [`DecompressError`].
    pub fn decompress(
        self,
        body: &[u8],
        size_max: usize,
    ) -> Result<Cow<'_, [u8]>, DecompressError> {
        let bytes = match self {
            Self::None if body.len() > size_max => Ok(None),
            Self::None => return Ok(Cow::Borrowed(body)),
            Self::Gzip => read_all(MultiGzDecoder::new(body), Vec::new(), size_max),
            Self::Snappy => snappy::decompress(body, size_max),
            Self::Lz4 => unlz4(body, size_max),
            Self::Zstd => unzstd(body, size_max),
        };
        match bytes {
            Ok(Some(bytes)) => Ok(Cow::Owned(bytes)),
            Ok(None) => Err(DecompressError::TooLarge { size_max }),
            Err(source) => Err(DecompressError::Corrupt {
                codec: self,
                source,
            }),
        }
    }
}

/// A codec's output, or `None` if there is more than the limit.
pub(super) type Bounded = io::Result<Option<Vec<u8>>>;

/// Reads `source` to its end, behind what `out` already holds.
fn read_all(source: impl Read, mut out: Vec<u8>, size_max: usize) -> Bounded {
    let room = size_max.saturating_sub(out.len());
    // One byte beyond the limit tells "too much" from "just enough".
    let limit = u64::try_from(room).unwrap_or(u64::MAX).saturating_add(1);
    source.take(limit).read_to_end(&mut out)?;
    Ok((out.len() <= size_max).then_some(out))
}

fn gzip(body: &[u8], level: i32, out: &mut Vec<u8>) -> io::Result<()> {
    let level = match u32::try_from(level) {
        Ok(level) => flate2::Compression::new(level.min(9)),
        Err(_) => flate2::Compression::default(),
    };
    let mut encoder = GzEncoder::new(out, level);
    encoder.write_all(body)?;
    encoder.finish().map(drop)
}

fn lz4(body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    // The Java client reads independent blocks only.
    let info = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(body)?;
    encoder.finish().map(drop).map_err(io::Error::from)
}

fn unlz4(mut body: &[u8], size_max: usize) -> Bounded {
    let mut out = Vec::new();
    // A decoder per frame: one decoder keeps the buffers of the first frame's block size, which is
    // wrong for a second frame with another.
    while !body.is_empty() {
        match read_all(FrameDecoder::new(&mut body), out, size_max)? {
            Some(so_far) => out = so_far,
            None => return Ok(None),
        }
    }
    Ok(Some(out))
}

/// One call per attempt into a buffer of its own, instead of a stream: a stream reserves the window
/// that the frame asks for, up to 128 MiB, before the first byte.
fn unzstd(body: &[u8], size_max: usize) -> Bounded {
    let mut context = zstd_safe::DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
    let mut capacity = body
        .len()
        .saturating_mul(8)
        .saturating_add(4096)
        .min(size_max);
    loop {
        let mut out = Vec::with_capacity(capacity);
        let Err(code) = context.decompress(&mut out, body) else {
            return Ok((out.len() <= size_max).then_some(out));
        };
        if !zstd_safe::is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall) {
            return Err(io::Error::other(zstd_safe::get_error_name(code)));
        }
        if capacity == size_max {
            return Ok(None);
        }
        capacity = capacity.saturating_mul(4).min(size_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODECS: [Compression; 4] = [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    fn packed(codec: Compression, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        codec
            .compress(body, &CompressionLevels::default(), &mut out)
            .unwrap();
        out
    }

    #[test]
    fn every_codec_stops_at_the_limit() {
        let body = vec![b'x'; 200_000];
        for codec in Compression::ALL {
            let packed = packed(codec, &body);
            assert_eq!(
                codec.decompress(&packed, body.len()).unwrap(),
                body,
                "{codec:?}"
            );
            let refused = codec.decompress(&packed, body.len() - 1);
            assert!(
                matches!(refused, Err(DecompressError::TooLarge { .. })),
                "{codec:?}"
            );
        }
    }

    #[test]
    fn codecs_keep_their_numbers() {
        for codec in Compression::ALL {
            assert_eq!(Compression::from_id(codec.id()), Ok(codec));
        }
        assert_eq!(Compression::from_id(5), Err(UnknownCompression { id: 5 }));
    }

    #[test]
    fn concatenated_frames_are_one_section() {
        for codec in CODECS {
            let mut both = packed(codec, b"first");
            both.extend(packed(codec, b" second"));
            assert_eq!(
                &*codec.decompress(&both, 100).unwrap(),
                b"first second",
                "{codec:?}"
            );
        }
    }

    #[test]
    fn levels_are_accepted() {
        let body = b"the same words, the same words, the same words".repeat(20);
        for level in [-1, 1, 9, 22] {
            let levels = CompressionLevels {
                gzip: level,
                lz4: level,
                zstd: level,
            };
            for codec in CODECS {
                let mut out = Vec::new();
                codec.compress(&body, &levels, &mut out).unwrap();
                assert!(out.len() < body.len());
                assert_eq!(codec.decompress(&out, 10_000).unwrap(), body);
            }
        }
    }

    proptest! {
        #[test]
        fn every_codec_returns_what_it_was_given(
            body in proptest::collection::vec(0..4_u8, 0..100_000),
        ) {
            for codec in Compression::ALL {
                let packed = packed(codec, &body);
                prop_assert_eq!(&*codec.decompress(&packed, body.len()).unwrap(), &body[..]);
            }
        }

        #[test]
        fn noise_never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            for codec in CODECS {
                let _ = codec.decompress(&body, 1 << 20);
            }
        }

        /// Noise seldom gets past a magic: damage a good stream instead.
        #[test]
        fn damage_never_panics(
            body in proptest::collection::vec(0..3_u8, 1..3000),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            for codec in CODECS {
                let mut packed = packed(codec, &body);
                let at = at.index(packed.len());
                packed[at] = byte;
                let _ = codec.decompress(&packed, 1 << 20);
                packed.truncate(cut.index(packed.len()));
                let _ = codec.decompress(&packed, 1 << 20);
            }
        }
    }
}
