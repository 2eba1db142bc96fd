package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// Step 5 of the lesson: where the training examples come from. Nobody labels them; the
// text itself has the answers.
//
// Masked language modelling (MLM). The usual language model is auto-regressive: it
// guesses each word from those before it, and must never look to the right, where the
// answer stands. BERT is auto-encoding: it gets a text with holes and has to restore
// it. What is hidden cannot be seen from any side (or hardly: see mask), and that alone
// allows every token to look both ways. If nothing were hidden, each token could see
// itself, and there would be nothing to learn (TestStep5WhyWordsAreHidden).
//
// Next sentence prediction (NSP). In half of the pairs B, one or more sentences, is
// what follows A in a document; in the other half it comes from another document. Which
// it is has to be guessed too, since many tasks are about how two sentences go
// together.

// An Example is a pair of sentences as the model sees it. The names in JSON are Google's
// (create_pretraining_data.py) and, for two fields, Hugging Face's: token_type_ids and
// next_sentence_label.
type Example struct {
	Strings   []string `json:"tokens,omitempty"`
	Tokens    []int32  `json:"input_ids"`
	Segments  []int32  `json:"token_type_ids"`
	Targets   []int32  `json:"masked_lm_positions"` // where a token is to be guessed
	Labels    []int32  `json:"masked_lm_ids"`       // and which
	NextLabel int32    `json:"next_sentence_label"` // 0 = IsNext, 1 = NotNext
}

// maskShare is how many of the tokens are to be guessed.
const maskShare = 0.15

// mask chooses 15% of the tokens to be guessed. Of those, 80% become [MASK]. But in use
// there are no masks, and a model that has to guess only where it sees one may make
// nothing of the other tokens. So 10% become any ordinary token, and 10% stay as they are:
// every token may be wrong, and every token may be asked for. (BERT paper, section 3.1 and
// appendices A.1 and C.2. Random tokens are 1.5% of all, too few to spoil the text.)
//
// [CLS] and [SEP] are counted when 15% is worked out, but are never chosen; [UNK] may be.
func (e *Example) mask(t *Tokenizer, wholeWords bool, r *rand.Rand) {
	var candidates []int32
	for i, id := range e.Tokens {
		if id != t.cls && id != t.sep {
			candidates = append(candidates, int32(i))
		}
	}
	n := min(max(1, int(math.Round(maskShare*float64(len(e.Tokens))))), len(candidates))
	if wholeWords {
		candidates = e.chooseWords(t, candidates, n, r)
		n = len(candidates)
	}
	// A selection in ascending order: the i-th of those left is taken with
	// probability (still wanted)/(still there).
	for i, at := range candidates {
		if r.IntN(len(candidates)-i) >= n-len(e.Targets) {
			continue
		}
		e.Targets = append(e.Targets, at)
		e.Labels = append(e.Labels, e.Tokens[at])
		switch chance := r.IntN(10); {
		case chance < 8:
			e.Tokens[at] = t.mask
		case chance == 8:
			e.Tokens[at] = t.RandomOrdinary(r)
		}
	}
}

// chooseWords draws words of at most n tokens together: all pieces of a word are
// to be guessed or none, so that a piece cannot be told from its neighbours
// (Google's "whole word masking"). A word that does not fit is passed over; if none fits,
// the first one drawn is cut.
func (e *Example) chooseWords(t *Tokenizer, candidates []int32, n int, r *rand.Rand) []int32 {
	var words [][]int32 // positions in the example
	for i, at := range candidates {
		follows := i > 0 && candidates[i-1] == at-1
		if follows && strings.HasPrefix(t.Vocabulary[e.Tokens[at]], continuing) {
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

// A SentencePair says which sentences become A and B: a[0] to a[1], b[0] to b[1].
type SentencePair struct {
	a, b   [2]int
	isNext bool
}

// Pairs makes the pairs of one epoch from some documents of the corpus, in
// random order: of each document one for every maxTokens−3 tokens that it has, rounded
// up. So a long document is gone through about once in an epoch. With probability
// shortSeqProb a pair is shorter than it could be, since in use a text may be short too.
func (c *Corpus) Pairs(documents []int, maxTokens int, shortSeqProb float64, seed, epoch uint64) []SentencePair {
	room := maxTokens - pairSpecials
	first := make([]int, len(documents)+1)
	for i, d := range documents {
		first[i+1] = first[i] + c.pairsOf(d, maxTokens)
	}
	pairs := make([]SentencePair, first[len(documents)])
	parallel(len(documents), 64, func(lo, hi int) {
		for i, d := range documents[lo:hi] {
			r := random(seed, forPairs, epoch, uint64(d))
			begin, end := c.documents[d], c.documents[d+1]
			size := c.Size(begin, end)
			mine := pairs[first[lo+i]:first[lo+i+1]]
			for k := range mine {
				// A token of the k-th part of the document is drawn,
				// and the pair is of its sentence. So a sentence ten
				// times as long, of which only a part fits, is drawn
				// ten times as often. The last sentence has none after
				// it: the one before is taken.
				token := c.sentences.At(begin) + (k*size+r.IntN(size))/len(mine)
				place := min(c.SentenceOf(token, begin, end), max(end-2, begin))
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
	room := maxTokens - pairSpecials
	return (c.Size(c.documents[d], c.documents[d+1]) + room - 1) / room
}

// PairsPerEpoch is how many pairs an epoch has of some documents.
func (c *Corpus) PairsPerEpoch(documents []int, maxTokens int) int {
	n := 0
	for _, d := range documents {
		n += c.pairsOf(d, maxTokens)
	}
	return n
}

// pair begins with sentence number place of document d and the one after it, adds
// neighbours while there is room, and cuts this stretch in the middle into A and B. With
// probability ½, B is then replaced by as many sentences of another document.
func (c *Corpus) pair(r *rand.Rand, documents []int, d, place, room int) SentencePair {
	begin, end := c.documents[d], c.documents[d+1]
	lo, hi := place, min(place+2, end)
	for grown := true; grown; {
		grown = false
		if hi < end && c.Size(lo, hi+1) <= room {
			hi, grown = hi+1, true
		}
		if lo > begin && c.Size(lo-1, hi) <= room {
			lo, grown = lo-1, true
		}
	}
	cut := lo + max((hi-lo+r.IntN(2))/2, 1) // of an odd number either has one more
	p := SentencePair{a: [2]int{lo, cut}, b: [2]int{cut, hi}, isNext: true}
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

// Example makes the example of a pair, at most maxTokens long, with new masks, of
// whole words if that is asked for. What is too long becomes an excerpt.
func (c *Corpus) Example(p SentencePair, t *Tokenizer, maxTokens int, wholeWords bool, r *rand.Rand) Example {
	keepA, keepB := LongestFirst(c.Size(p.a[0], p.a[1]), c.Size(p.b[0], p.b[1]), maxTokens-pairSpecials)
	var e Example
	e.Tokens, e.Segments = t.Pair(c.excerpt(p.a, keepA, r), c.excerpt(p.b, keepB, r))
	if !p.isNext {
		e.NextLabel = 1
	}
	e.mask(t, wholeWords, r)
	return e
}

// excerpt is keep tokens in a row of some sentences, from anywhere (excerptAt).
func (c *Corpus) excerpt(sentences [2]int, keep int, r *rand.Rand) []int32 {
	at := c.sentences.At(sentences[0]) + excerptAt(c.Size(sentences[0], sentences[1]), keep, r)
	return c.Tokens(at, at+keep)
}

// excerptAt is where an excerpt of keep of n tokens begins. In create_pretraining_data.py a
// coin decides for each token that is too much whether the first or the last one goes.
// What stays is the middle, and of a long sentence the ends never come up. Here the
// excerpt is put anywhere where it has at least one of the n tokens, and is moved inside
// where it sticks out. So each token is in it with a probability of keep/(n+keep−1) or
// more. (If all beginnings were equally probable, the first token would be in just one of
// n−keep+1 excerpts.)
func excerptAt(n, keep int, r *rand.Rand) int {
	if n == keep {
		return 0
	}
	at := r.IntN(n+keep-1) - (keep - 1)
	return min(max(at, 0), n-keep)
}

// AddExample appends an example.
func (b *Batch) AddExample(e Example) {
	start := len(b.Tokens)
	b.Add(e.Tokens, e.Segments)
	for _, at := range e.Targets {
		b.Targets = append(b.Targets, start+int(at))
	}
	b.Labels = append(b.Labels, e.Labels...)
	b.NextLabels = append(b.NextLabels, e.NextLabel)
}
