package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// Step 5 of the lesson: where the training examples come from. Nobody labels
// them; the text itself has the answers.
//
//   - Next sentence prediction: half of the pairs are sentences that follow one
//     another in a document, in the other half B comes from another document.
//   - Masked language modelling: 15% of the tokens are hidden and have to be
//     guessed from both sides.
//
// Two spans of a document's sentences become a pair, a pair an example, and some
// examples a batch.

// A Pair says which sentences become A and B: a[0] to a[1], b[0] to b[1].
type Pair struct {
	a, b   [2]int
	isNext bool
}

// Pairs makes the pairs of one epoch from some documents of the corpus, in
// random order: of each document one for every maxTokens that it has. So a long
// document is gone through about once in an epoch. With probability shortSeqProb
// a pair is shorter than it could be, since in use a text may be short too.
func (c *Corpus) Pairs(documents []int, maxTokens int, shortSeqProb float64, seed, epoch uint64) []Pair {
	room := maxTokens - 3 // beside [CLS], [SEP] and [SEP]
	first := make([]int, len(documents)+1)
	for i, d := range documents {
		first[i+1] = first[i] + c.pairsOf(d, maxTokens)
	}
	pairs := make([]Pair, first[len(documents)])
	parallel(len(documents), 64, func(lo, hi int) {
		for i, d := range documents[lo:hi] {
			r := random(seed, forPairs, epoch, uint64(d))
			begin, end := c.documents[d], c.documents[d+1]
			size := c.size(begin, end)
			mine := pairs[first[lo+i]:first[lo+i+1]]
			for k := range mine {
				// The sentence of a token in the k-th of n parts of the document, so that one
				// that is ten times as long, of which only a part fits, is drawn ten times as
				// often. The last one has no next.
				token := c.sentences.at(begin) + (k*size+r.IntN(size))/len(mine)
				place := min(c.sentenceOf(token, begin, end), max(end-2, begin))
				target := room
				if r.Float64() < shortSeqProb {
					target = 2 + r.IntN(room-1)
				}
				mine[k] = c.pair(r, documents, d, place, target)
			}
		}
	})
	random(seed, forOrder, epoch).Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	return pairs
}

// pairsOf is how many pairs an epoch has of document d.
func (c *Corpus) pairsOf(d, maxTokens int) int {
	room := maxTokens - 3
	return (c.size(c.documents[d], c.documents[d+1]) + room - 1) / room
}

// pairsPerEpoch is how many pairs an epoch has of some documents.
func (c *Corpus) pairsPerEpoch(documents []int, maxTokens int) int {
	n := 0
	for _, d := range documents {
		n += c.pairsOf(d, maxTokens)
	}
	return n
}

// pair makes a pair of sentence place of document d, the one after it, and as
// many around them as there is room for. They are cut in the middle, and with
// probability ½ the second part is replaced by as many sentences of another
// document.
func (c *Corpus) pair(r *rand.Rand, documents []int, d, place, room int) Pair {
	begin, end := c.documents[d], c.documents[d+1]
	lo, hi := place, min(place+2, end)
	for grown := true; grown; {
		grown = false
		if hi < end && c.size(lo, hi+1) <= room {
			hi, grown = hi+1, true
		}
		if lo > begin && c.size(lo-1, hi) <= room {
			lo, grown = lo-1, true
		}
	}
	cut := lo + max((hi-lo+r.IntN(2))/2, 1)
	p := Pair{a: [2]int{lo, cut}, b: [2]int{cut, hi}, isNext: true}
	if r.IntN(2) == 0 || cut == hi { // a document of one sentence has no next
		p.b, p.isNext = c.otherSentences(r, documents, d, max(hi-cut, 1)), false
	}
	return p
}

// otherSentences draws n sentences, or as many as there are, of a document that
// is not d.
func (c *Corpus) otherSentences(r *rand.Rand, documents []int, d, n int) [2]int {
	other := d
	for other == d {
		other = documents[r.IntN(len(documents))]
	}
	begin, end := c.documents[other], c.documents[other+1]
	n = min(n, end-begin)
	begin += r.IntN(end - begin - n + 1)
	return [2]int{begin, begin + n}
}

// minSeq is the fewest tokens that an example can be limited to: [CLS] A [SEP] B [SEP].
const minSeq = 5

// An Example is a pair as the model sees it. The names in JSON are those of
// Google's create_pretraining_data.py.
type Example struct {
	Words     []string `json:"tokens,omitempty"`
	Tokens    []int32  `json:"input_ids"`
	Segments  []int32  `json:"token_type_ids"`
	Positions []int32  `json:"masked_lm_positions"`
	Labels    []int32  `json:"masked_lm_ids"`
	NextLabel int32    `json:"next_sentence_label"` // 0 = IsNext, 1 = NotNext
}

// Example makes the example of a pair, at most maxTokens long, with new masks, of
// whole words if that is asked for. What is too long becomes an excerpt.
func (c *Corpus) Example(p Pair, t *Tokenizer, maxTokens int, wholeWords bool, r *rand.Rand) Example {
	a, b := c.span(p.a[0], p.a[1]), c.span(p.b[0], p.b[1])
	keepA, keepB := longestFirst(len(a), len(b), maxTokens-3)
	var e Example
	e.Tokens, e.Segments = t.Pair(excerpt(a, keepA, r), excerpt(b, keepB, r))
	if !p.isNext {
		e.NextLabel = 1
	}
	e.mask(t, wholeWords, r)
	return e
}

// longestFirst is how many of a and b tokens are kept where there is room for so
// many in all. It is as many as in the original, which takes one token after
// another from whichever part is longer by then, and from B if neither is: a part
// is left half of the room, and whatever the other does not need.
func longestFirst(a, b, room int) (keepA, keepB int) {
	return min(a, max(room-b, room-room/2)), min(b, max(room-a, room/2))
}

// excerpt is keep tokens in a row, from anywhere. In create_pretraining_data.py a
// coin decides for each token that is too much whether the first or the last one goes.
// What stays is the middle, and of a long sentence the ends never come up. Here a
// window is put anywhere where it shows at least one of the n tokens, and is moved
// inside where it sticks out. So each token is shown with a probability of
// keep/(n+keep−1) or more. (Were all beginnings as probable, the first token would be
// in just one of n−keep+1 excerpts.)
func excerpt(tokens []int32, keep int, r *rand.Rand) []int32 {
	n := len(tokens)
	if n == keep {
		return tokens
	}
	at := r.IntN(n+keep-1) - (keep - 1)
	at = min(max(at, 0), n-keep)
	return tokens[at : at+keep]
}

// mask hides 15% of the tokens, but never [CLS] or [SEP]. Of those, 80% become
// [MASK], 10% any ordinary token, and 10% stay as they are: in use there are no
// masks, so the model has to make something of every token. (With 15% of what is
// there, the original's max_predictions_per_seq is kept by itself.)
func (e *Example) mask(t *Tokenizer, wholeWords bool, r *rand.Rand) {
	var candidates []int32
	for i, id := range e.Tokens {
		if id != t.cls && id != t.sep {
			candidates = append(candidates, int32(i))
		}
	}
	n := min(max(1, int(math.Round(0.15*float64(len(e.Tokens))))), len(candidates))
	if wholeWords {
		candidates = e.chooseWords(t, candidates, n, r)
		n = len(candidates)
	}
	// A selection in ascending order: the i-th of those left is taken with
	// probability (still wanted)/(still there).
	for i, at := range candidates {
		if r.IntN(len(candidates)-i) >= n-len(e.Positions) {
			continue
		}
		e.Positions = append(e.Positions, at)
		e.Labels = append(e.Labels, e.Tokens[at])
		switch chance := r.IntN(10); {
		case chance < 8:
			e.Tokens[at] = t.mask
		case chance == 8:
			e.Tokens[at] = t.randomOrdinary(r)
		}
	}
}

// chooseWords draws words of at most n tokens together: all pieces of a word are
// to be guessed or none, so that a piece cannot be told from its neighbours
// (Google's "whole word masking"). Where the first word has more, it is cut.
func (e *Example) chooseWords(t *Tokenizer, candidates []int32, n int, r *rand.Rand) []int32 {
	var words [][]int32 // positions in the example
	for i, at := range candidates {
		follows := i > 0 && candidates[i-1] == at-1
		if follows && strings.HasPrefix(t.Words[e.Tokens[at]], continuing) {
			words[len(words)-1] = append(words[len(words)-1], at)
		} else {
			words = append(words, []int32{at})
		}
	}
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	var chosen []int32
	for _, w := range words {
		if len(chosen)+len(w) <= n {
			chosen = append(chosen, w...)
		}
	}
	if len(chosen) == 0 {
		chosen = words[0][:n]
	}
	slices.Sort(chosen)
	return chosen
}

// randomOrdinary draws a token that is not special.
func (t *Tokenizer) randomOrdinary(r *rand.Rand) int32 {
	for {
		if id := int32(r.IntN(len(t.Words))); !t.special(id) {
			return id
		}
	}
}

// A Batch is some examples, end to end.
type Batch struct {
	Tokens     []int32 // (N)
	Segments   []int32 // (N)
	Positions  []int32 // (N) within the sequence
	Starts     []int   // (S+1) row of each [CLS], and N
	Masked     []int   // (M) rows whose token is to be guessed
	Labels     []int32 // (M) the tokens that were there
	NextLabels []int32 // (S)
}

// Reset empties the batch.
func (b *Batch) Reset() {
	*b = Batch{b.Tokens[:0], b.Segments[:0], b.Positions[:0], append(b.Starts[:0], 0), b.Masked[:0], b.Labels[:0], b.NextLabels[:0]}
}

// Add appends an example.
func (b *Batch) Add(e Example) {
	start := len(b.Tokens)
	b.Tokens = append(b.Tokens, e.Tokens...)
	b.Segments = append(b.Segments, e.Segments...)
	for i := range e.Tokens {
		b.Positions = append(b.Positions, int32(i))
	}
	b.Starts = append(b.Starts, len(b.Tokens))
	for _, p := range e.Positions {
		b.Masked = append(b.Masked, start+int(p))
	}
	b.Labels = append(b.Labels, e.Labels...)
	b.NextLabels = append(b.NextLabels, e.NextLabel)
}

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
	pairs  []Pair
	counts map[int]int // pairs of an epoch, by MaxTokens
}

// perEpoch is how many pairs an epoch has. They are counted once.
func (s *Stream) perEpoch(maxTokens int) int {
	n, ok := s.counts[maxTokens]
	if !ok {
		n = s.Corpus.pairsPerEpoch(s.Documents, maxTokens)
		if s.counts == nil {
			s.counts = map[int]int{}
		}
		s.counts[maxTokens] = n
	}
	return n
}

// load makes the pairs of an epoch, unless they are there.
func (s *Stream) load(epoch uint64) {
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

// first makes the first n examples, or all of so many epochs if they are fewer.
func (s *Stream) first(n, epochs int) (examples []Example) {
	for epoch := 1; epoch <= epochs && len(examples) < n; epoch++ {
		s.load(uint64(epoch))
		next := make([]Example, min(len(s.pairs), n-len(examples)))
		s.fill(next, 0)
		examples = append(examples, next...)
	}
	return examples
}

// Epoch makes the examples of the next epoch.
func (s *Stream) Epoch() []Example {
	s.load(s.epoch + 1)
	examples := make([]Example, len(s.pairs))
	s.fill(examples, 0)
	return examples
}

// ReadExamples reads examples in JSON lines, as WriteExamples writes them, for a
// vocabulary of vocabSize words.
func ReadExamples(r io.Reader, vocabSize int) ([]Example, error) {
	var examples []Example
	decoder := json.NewDecoder(r)
	for {
		var e Example
		if err := decoder.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("example %d: %w", len(examples)+1, err)
		}
		if err := e.check(vocabSize); err != nil {
			return nil, fmt.Errorf("example %d: %w", len(examples)+1, err)
		}
		examples = append(examples, e)
	}
	if len(examples) == 0 {
		return nil, errors.New("there is no example in it")
	}
	return examples, nil
}

func (e *Example) check(vocabSize int) error {
	if len(e.Tokens) == 0 {
		return errors.New("input_ids is empty")
	}
	inVocabulary := func(id int32) bool { return id >= 0 && int(id) < vocabSize }
	for _, id := range e.Tokens {
		if !inVocabulary(id) {
			return fmt.Errorf("input_ids has %d, want 0 to %d", id, vocabSize-1)
		}
	}
	for _, s := range e.Segments {
		if s != 0 && s != 1 {
			return fmt.Errorf("token_type_ids has %d, want 0 or 1", s)
		}
	}
	for i, p := range e.Positions {
		if p < 0 || int(p) >= len(e.Tokens) || i > 0 && p <= e.Positions[i-1] {
			return fmt.Errorf("masked_lm_positions has %d, want rising numbers from 0 to %d", p, len(e.Tokens)-1)
		}
	}
	for _, id := range e.Labels {
		if !inVocabulary(id) {
			return fmt.Errorf("masked_lm_ids has %d, want 0 to %d", id, vocabSize-1)
		}
	}
	switch {
	case len(e.Segments) != len(e.Tokens):
		return fmt.Errorf("token_type_ids has %d numbers, want %d as input_ids", len(e.Segments), len(e.Tokens))
	case len(e.Positions) == 0 || len(e.Labels) != len(e.Positions):
		return fmt.Errorf("masked_lm_positions has %d numbers and masked_lm_ids %d, want as many, at least one", len(e.Positions), len(e.Labels))
	case e.NextLabel != 0 && e.NextLabel != 1:
		return fmt.Errorf("next_sentence_label is %d, want 0 or 1", e.NextLabel)
	}
	return nil
}

// WriteExamples writes examples, one JSON object a line.
func WriteExamples(w io.Writer, examples []Example, t *Tokenizer) error {
	encoder := json.NewEncoder(w)
	for _, e := range examples {
		e.Words = t.Tokens(e.Tokens)
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	return nil
}
