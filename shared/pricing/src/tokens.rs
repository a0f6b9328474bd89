//! What a request used, in buckets of which no token is in two. The sums are what providers call input and output.

use serde::{Deserialize, Serialize};

/// A kind of token that may have a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// Text that the model read and that no cache had.
    Uncached,
    /// Read from the provider's cache.
    CacheRead,
    /// Written to the cache for five minutes, or for as long as the provider keeps it.
    CacheWrite,
    /// Written to the cache for an hour.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Sound that was heard.
    AudioInput,
    /// Pictures that were seen.
    ImageInput,
    /// Text that was answered.
    OutputText,
    /// Reasoning before the answer.
    Reasoning,
    /// Sound that was spoken.
    AudioOutput,
}

impl Bucket {
    /// All of them, prompt before answer.
    pub const ALL: [Self; 9] = [
        Self::Uncached,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::AudioInput,
        Self::ImageInput,
        Self::OutputText,
        Self::Reasoning,
        Self::AudioOutput,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uncached => "uncached",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::CacheWrite1h => "cache_write_1h",
            Self::AudioInput => "audio_input",
            Self::ImageInput => "image_input",
            Self::OutputText => "output_text",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
        }
    }

    /// Whether it belongs to what the model reads.
    pub fn is_input(self) -> bool {
        self < Self::OutputText
    }
}

/// Counts in buckets that share no token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// See [`Bucket::Uncached`].
    pub uncached: i64,
    /// See [`Bucket::CacheRead`].
    pub cache_read: i64,
    /// See [`Bucket::CacheWrite`].
    pub cache_write: i64,
    /// See [`Bucket::CacheWrite1h`].
    pub cache_write_1h: i64,
    /// See [`Bucket::AudioInput`].
    pub audio_input: i64,
    /// See [`Bucket::ImageInput`].
    pub image_input: i64,
    /// See [`Bucket::OutputText`].
    pub output_text: i64,
    /// See [`Bucket::Reasoning`].
    pub reasoning: i64,
    /// See [`Bucket::AudioOutput`].
    pub audio_output: i64,
}

/// Counts as OpenAI and Gemini report them and as spans are stored: the two totals include the parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inclusive {
    /// All that the model read.
    pub prompt_tokens: i64,
    /// All that it wrote.
    pub completion_tokens: i64,
    /// Of the prompt, from the cache.
    pub cache_read_tokens: i64,
    /// Of the prompt, written to the cache for five minutes.
    pub cache_write_tokens: i64,
    /// Of the prompt, written to the cache for an hour.
    pub cache_write_1h_tokens: i64,
    /// Of the prompt, sound.
    pub audio_input_tokens: i64,
    /// Of the prompt, pictures.
    pub image_input_tokens: i64,
    /// Of the answer, reasoning.
    pub reasoning_tokens: i64,
    /// Of the answer, sound.
    pub audio_output_tokens: i64,
}

impl Tokens {
    /// So many tokens of one bucket, none of the others.
    pub fn only(bucket: Bucket, count: i64) -> Self {
        let mut tokens = Self::default();
        let place = match bucket {
            Bucket::Uncached => &mut tokens.uncached,
            Bucket::CacheRead => &mut tokens.cache_read,
            Bucket::CacheWrite => &mut tokens.cache_write,
            Bucket::CacheWrite1h => &mut tokens.cache_write_1h,
            Bucket::AudioInput => &mut tokens.audio_input,
            Bucket::ImageInput => &mut tokens.image_input,
            Bucket::OutputText => &mut tokens.output_text,
            Bucket::Reasoning => &mut tokens.reasoning,
            Bucket::AudioOutput => &mut tokens.audio_output,
        };
        *place = count;
        tokens
    }

    /// The count of one bucket.
    pub fn of(&self, bucket: Bucket) -> i64 {
        match bucket {
            Bucket::Uncached => self.uncached,
            Bucket::CacheRead => self.cache_read,
            Bucket::CacheWrite => self.cache_write,
            Bucket::CacheWrite1h => self.cache_write_1h,
            Bucket::AudioInput => self.audio_input,
            Bucket::ImageInput => self.image_input,
            Bucket::OutputText => self.output_text,
            Bucket::Reasoning => self.reasoning,
            Bucket::AudioOutput => self.audio_output,
        }
    }

    /// All that the model read.
    pub fn prompt(&self) -> i64 {
        let input = Bucket::ALL.into_iter().filter(|b| b.is_input());
        input.fold(0, |sum, b| sum.saturating_add(self.of(b)))
    }

    /// All that it wrote.
    pub fn completion(&self) -> i64 {
        let output = Bucket::ALL.into_iter().filter(|b| !b.is_input());
        output.fold(0, |sum, b| sum.saturating_add(self.of(b)))
    }
}

impl From<Inclusive> for Tokens {
    /// Nothing is lost and nothing is counted twice: `prompt()` and `completion()` are the two totals. Parts that exceed
    /// their total (a cached sound is reported as both) are cut, the last one first; negative counts are none.
    fn from(all: Inclusive) -> Self {
        let mut prompt = all.prompt_tokens.max(0);
        let mut completion = all.completion_tokens.max(0);
        let cache_read = take(&mut prompt, all.cache_read_tokens);
        let cache_write = take(&mut prompt, all.cache_write_tokens);
        let cache_write_1h = take(&mut prompt, all.cache_write_1h_tokens);
        let audio_input = take(&mut prompt, all.audio_input_tokens);
        let image_input = take(&mut prompt, all.image_input_tokens);
        let reasoning = take(&mut completion, all.reasoning_tokens);
        let audio_output = take(&mut completion, all.audio_output_tokens);
        Self {
            uncached: prompt,
            cache_read,
            cache_write,
            cache_write_1h,
            audio_input,
            image_input,
            output_text: completion,
            reasoning,
            audio_output,
        }
    }
}

fn take(left: &mut i64, part: i64) -> i64 {
    let taken = part.clamp(0, *left);
    *left -= taken;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_lost_or_counted_twice() {
        for (prompt, read, write, audio) in [
            (100, 40, 10, 5),
            (100, 90, 20, 5),
            (0, 5, 5, 5),
            (-4, -1, 3, 2),
            (i64::MAX, 1, 1, 1),
        ] {
            let all = Inclusive {
                prompt_tokens: prompt,
                completion_tokens: 9,
                cache_read_tokens: read,
                cache_write_tokens: write,
                audio_input_tokens: audio,
                reasoning_tokens: 12,
                ..Inclusive::default()
            };
            let tokens = Tokens::from(all);
            assert_eq!(tokens.prompt(), prompt.max(0));
            assert_eq!(tokens.completion(), 9);
            assert!(Bucket::ALL.into_iter().all(|bucket| tokens.of(bucket) >= 0));
        }
    }

    #[test]
    fn parts_leave_the_rest_as_text() {
        let all = Inclusive {
            prompt_tokens: 1_000,
            completion_tokens: 300,
            cache_read_tokens: 400,
            cache_write_1h_tokens: 100,
            reasoning_tokens: 200,
            ..Inclusive::default()
        };
        let tokens = Tokens::from(all);
        assert_eq!((tokens.uncached, tokens.output_text), (500, 100));
    }
}
