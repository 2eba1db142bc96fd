package main

import "iter"

// Step 6 of the lesson, what is trained on: examples of a corpus without end, or those of a
// list, batch by batch.

// Stream makes the training examples of a corpus, epoch by epoch, each with new
// pairs, masks and order. An example is a function of the seed, the epoch and
// its place there, so workers share them out, and no run has to begin at the first.
type Stream struct {
	Corpus       *Corpus
	Tokenizer    *Tokenizer
	Documents    []int
	Seed         uint64
	MaxTokens    int
	ShortSeqProb float64 // share of pairs that are made shorter
	WholeWords   bool    // mask whole words

	epoch  uint64 // that the pairs belong to; counts from 1
	length int    // and how long they are
	pairs  []SentencePair
	counts map[int]int // pairs of an epoch, by MaxTokens
}

// NewStream makes a stream of the examples of some documents, each with at most maxTokens
// tokens.
func NewStream(c *Corpus, t *Tokenizer, documents []int, maxTokens int, seed uint64) *Stream {
	return &Stream{Corpus: c, Tokenizer: t, Documents: documents, MaxTokens: maxTokens, Seed: seed, counts: map[int]int{}}
}

// perEpoch is how many pairs an epoch has. They are counted once.
func (s *Stream) perEpoch(maxTokens int) int {
	n, ok := s.counts[maxTokens]
	if !ok {
		n = s.Corpus.PairsPerEpoch(s.Documents, maxTokens)
		s.counts[maxTokens] = n
	}
	return n
}

// Load makes the pairs of an epoch, unless they are there.
func (s *Stream) Load(epoch uint64) {
	if s.epoch != epoch || s.length != s.MaxTokens {
		s.epoch, s.length = epoch, s.MaxTokens
		s.pairs = s.Corpus.Pairs(s.Documents, s.length, s.ShortSeqProb, s.Seed, epoch)
	}
}

// fill makes examples, on all cores: those of the epoch from place at on.
func (s *Stream) fill(examples []Example, at int) {
	parallel(len(examples), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			r := random(s.Seed, forMasks, s.epoch, uint64(at+i))
			examples[i] = s.Corpus.Example(s.pairs[at+i], s.Tokenizer, s.length, s.WholeWords, r)
		}
	})
}

// First makes the first n examples, or all of the first epochs if they are fewer.
func (s *Stream) First(n, epochs int) (examples []Example) {
	for epoch := 1; epoch <= epochs && len(examples) < n; epoch++ {
		s.Load(uint64(epoch))
		next := make([]Example, min(len(s.pairs), n-len(examples)))
		s.fill(next, 0)
		examples = append(examples, next...)
	}
	return examples
}

// Epoch makes the examples of an epoch, some at a time, so that there are never many.
func (s *Stream) Epoch(epoch uint64) iter.Seq[Example] {
	return func(yield func(Example) bool) {
		s.Load(epoch)
		for at, some := 0, 1024; at < len(s.pairs); at += some {
			examples := make([]Example, min(some, len(s.pairs)-at))
			s.fill(examples, at)
			for _, e := range examples {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// A Source has the examples to train on. Fill puts the next n into the batch,
// for a step of the training.
type Source interface {
	Fill(b *Batch, n, step int)
}

// CorpusSource takes them from a stream, short ones first.
type CorpusSource struct {
	*Stream
	settings *Settings
	examples []Example
}

// place sets MaxTokens for a step, and says where its examples begin: the epoch, and the
// place there. The long ones begin with an epoch of their own.
func (s *CorpusSource) place(n, step int) (epoch uint64, at int) {
	s.MaxTokens = s.settings.MaxSeq
	before := 0 // epochs
	if short := s.settings.ShortSteps(); s.settings.ShortSeq < s.settings.MaxSeq {
		perEpoch := s.perEpoch(s.settings.ShortSeq)
		if step < short {
			s.MaxTokens = s.settings.ShortSeq
		} else {
			step -= short
			before = (short*n + perEpoch - 1) / perEpoch
		}
	}
	perEpoch := s.perEpoch(s.MaxTokens)
	return uint64(before + step*n/perEpoch + 1), step * n % perEpoch
}

// Fill implements Source.
func (s *CorpusSource) Fill(b *Batch, n, step int) {
	epoch, at := s.place(n, step)
	s.examples = Grow(s.examples, n)
	for done := 0; done < n; epoch, at = epoch+1, 0 {
		s.Load(epoch)
		part := s.examples[done:min(n, done+len(s.pairs)-at)]
		s.fill(part, at)
		done += len(part)
	}
	b.Reset()
	for _, e := range s.examples {
		b.AddExample(e)
	}
}

// ListSource takes them from a list, from its beginning again at the end.
type ListSource []Example

// Fill implements Source.
func (s ListSource) Fill(b *Batch, n, step int) {
	b.Reset()
	for i := range n {
		b.AddExample(s[(step*n+i)%len(s)])
	}
}
