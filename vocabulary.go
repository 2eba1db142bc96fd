package main

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Step 1 of the lesson, where the vocabulary comes from. It begins with the special tokens
// and the letters, and then, again and again, joins two pieces that stand side by side to
// a new one, until it is large enough. The usual ways to do that differ in two points:
// which pair is joined next, and how a word is spelled afterwards. With hug ×10, pug ×5,
// pun ×12, bun ×4 and hugs ×5 in the text,
//
//	                 joins first                                    spells mug
//	BPE              the commonest pair: u g (20 times) → ug        <unk> ug
//	byte-level BPE   the same, from bytes instead of letters        m ug
//	WordPiece        the pair that belongs together most:
//	                 ##g ##s → ##gs, since 5/(20·5) > 20/(36·20)    [UNK]
//
// Byte-pair encoding (BPE) counts, and spells a word by joining its letters in the order in
// which it has learnt to; a letter that it does not know is unknown. Byte-level BPE (GPT-2,
// RoBERTa) starts from the 256 bytes, so that nothing is unknown. WordPiece (BERT) marks
// what goes on with a word by ##, and scores a pair of pieces a and b by how much oftener
// they stand together than chance would bring them together,
//
//	freq(ab) / (freq(a)·freq(b))
//
// which prefers pieces that seldom stand elsewhere. It spells a word by its longest pieces
// from left to right (tokenizer.go), and a word that it cannot spell to its end is unknown
// as a whole.
//
// Google has not published its trainer; that is how it is described. Hugging Face's
// WordPiece trainer counts as BPE does, and so does this one, unless Likelihood is set.
// Of equally good pairs it joins the one with the smaller ids. TestStep1ThreeWays shows
// all three.

// VocabularySettings say how a vocabulary is trained.
type VocabularySettings struct {
	Size         int                                     // most words in it
	MinFrequency int                                     // of a pair that is joined
	Alphabet     int                                     // most letters; words are spelled without those that are rarer
	Likelihood   bool                                    // score pairs by freq(ab)/(freq(a)·freq(b)) instead of freq(ab)
	OnJoin       func(left, right, joined string, n int) // told of each pair that is joined, and how often it came up; may be nil
}

// DefaultVocabularySettings are those of Hugging Face's BertWordPieceTokenizer.
func DefaultVocabularySettings(size int) VocabularySettings {
	return VocabularySettings{Size: size, MinFrequency: 2, Alphabet: 1000}
}

// longestCounted is how much of a word is counted, in characters. No vocabulary
// can spell more than maxWordLength, but Hugging Face's trainer counts long words too.
const longestCounted = 10 * maxWordLength

// CountWords counts how often each word of some lines of text occurs.
func CountWords(lines []string, lowerCase bool) map[string]int {
	// First the stretches between places where words end in any case: each different
	// one has to be cut into words only once.
	stretches := map[string]int{}
	var mu sync.Mutex
	parallel(len(lines), 1, func(lo, hi int) {
		counts := map[string]int{}
		for _, s := range lines[lo:hi] {
			for begin := 0; begin < len(s); {
				end := EndOfStretch(s, begin)
				if ascii[s[begin]] != white {
					counts[s[begin:end]]++
				}
				begin = end
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for s, n := range counts {
			stretches[s] += n
		}
	})
	words := map[string]int{}
	for s, n := range stretches {
		for word := range RulesFor(lowerCase).SplitWords(s, longestCounted) {
			words[string(word.text)] += n
		}
	}
	return words
}

// TrainVocabulary learns a vocabulary of at most size words from how often each
// word of a text occurs.
func TrainVocabulary(counts map[string]int, size int) ([]string, error) {
	return DefaultVocabularySettings(size).Train(counts)
}

// Train learns a vocabulary from how often each word of a text occurs. The same
// counts give the same vocabulary, always.
func (s VocabularySettings) Train(counts map[string]int) ([]string, error) {
	v := &vocabularyTrainer{VocabularySettings: s, ids: map[string]int32{}, pairs: map[[2]int32]*piecePair{}}
	for _, token := range specialTokens {
		v.id(token)
	}
	v.spell(counts)
	if len(v.words) == 0 {
		return nil, errors.New("there is no word to learn a vocabulary from")
	}
	if len(v.pieces) > s.Size {
		return nil, fmt.Errorf("a vocabulary of %d words is too small: special tokens and letters alone are %d", s.Size, len(v.pieces))
	}
	for len(v.pieces) < s.Size && len(v.queue) > 0 {
		// A score that has fallen since the pair was queued moves it back now.
		best := v.queue[0]
		if score := v.score(best); score != best.score {
			best.score = score
			heap.Fix(&v.queue, 0)
			continue
		}
		if best.score == 0 {
			break
		}
		v.join(best)
	}
	return v.pieces, nil
}

type vocabularyTrainer struct {
	VocabularySettings
	pieces []string                // the vocabulary so far
	ids    map[string]int32        // of the pieces
	words  [][]int32               // each word of the text, in pieces
	times  []int                   // how often it occurs
	pairs  map[[2]int32]*piecePair // of pieces that stand side by side
	queue  pairQueue               // of all pairs
	better []*piecePair            // whose score may have risen since they were queued

	// For the likelihood only.
	frequency []int          // of each piece
	with      [][]*piecePair // the pairs that a piece is in
}

// A piecePair is two pieces that stand side by side.
type piecePair struct {
	left, right int32
	count       int
	where       []int32 // the words in which it has occurred
	score       float64 // when it was queued; its score now is not higher
	at          int     // its place in the queue
	better      bool    // it is in vocabularyTrainer.better
}

// id returns the id of a piece, and makes it one if it is new.
func (v *vocabularyTrainer) id(piece string) int32 {
	id, ok := v.ids[piece]
	if !ok {
		id = int32(len(v.pieces))
		v.ids[piece] = id
		v.pieces = append(v.pieces, piece)
		v.frequency, v.with = append(v.frequency, 0), append(v.with, nil)
	}
	return id
}

// spell takes every word as its letters. The letters are the first pieces: in
// order, first all as they are, then those with ## that go on with a word.
func (v *vocabularyTrainer) spell(counts map[string]int) {
	letters, inside := map[rune]int{}, map[rune]bool{}
	for word, n := range counts {
		for i, r := range word {
			letters[r] += n
			inside[r] = inside[r] || i > 0
		}
	}
	alphabet := slices.SortedFunc(maps.Keys(letters), func(a, b rune) int {
		return cmp.Or(cmp.Compare(letters[b], letters[a]), cmp.Compare(a, b))
	})
	alphabet = alphabet[:min(len(alphabet), v.Alphabet)]
	slices.Sort(alphabet)
	first, later := map[rune]int32{}, map[rune]int32{}
	for _, r := range alphabet {
		first[r] = v.id(string(r))
	}
	for _, r := range alphabet {
		if inside[r] {
			later[r] = v.id(continuing + string(r))
		}
	}
	for w, word := range slices.Sorted(maps.Keys(counts)) {
		var pieces []int32
		for i, r := range word {
			ids := later
			if i == 0 {
				ids = first
			}
			if id, ok := ids[r]; ok {
				pieces = append(pieces, id)
			}
		}
		v.words, v.times = append(v.words, pieces), append(v.times, counts[word])
		for i, id := range pieces {
			v.frequency[id] += counts[word]
			if i > 0 {
				v.change(pieces[i-1], id, counts[word], int32(w))
			}
		}
	}
	v.requeue()
}

// join makes a pair of pieces into one, in every word in which it occurs.
func (v *vocabularyTrainer) join(pair *piecePair) {
	left, right := pair.left, pair.right
	piece := v.pieces[left] + strings.TrimPrefix(v.pieces[right], continuing)
	joined := v.id(piece)
	if v.OnJoin != nil {
		v.OnJoin(v.pieces[left], v.pieces[right], piece, pair.count)
	}
	for _, w := range pair.where {
		old, n := v.words[w], v.times[w]
		word := old[:0]
		for i := 0; i < len(old); i++ {
			if i+1 == len(old) || old[i] != left || old[i+1] != right {
				word = append(word, old[i])
				continue
			}
			if len(word) > 0 {
				v.change(word[len(word)-1], left, -n, w)
				v.change(word[len(word)-1], joined, n, w)
			}
			if i+2 < len(old) {
				v.change(right, old[i+2], -n, w)
				v.change(joined, old[i+2], n, w)
			}
			word = append(word, joined)
			pair.count -= n
			v.frequency[left] -= n
			v.frequency[right] -= n
			v.frequency[joined] += n
			i++
		}
		v.words[w] = word
	}
	pair.where = nil
	if v.Likelihood { // left and right are rarer now, which raises the score of their pairs
		for _, p := range slices.Concat(v.with[left], v.with[right]) {
			v.mayBeBetter(p)
		}
	}
	v.requeue()
}

// change adds n to the count of a pair, in word w.
func (v *vocabularyTrainer) change(left, right int32, n int, w int32) {
	p := v.pairs[[2]int32{left, right}]
	if p == nil {
		p = &piecePair{left: left, right: right, at: len(v.queue)}
		v.pairs[[2]int32{left, right}] = p
		heap.Push(&v.queue, p)
		if v.Likelihood {
			v.with[left], v.with[right] = append(v.with[left], p), append(v.with[right], p)
		}
	}
	p.count += n
	if n > 0 {
		if last := len(p.where) - 1; last < 0 || p.where[last] != w {
			p.where = append(p.where, w)
		}
		v.mayBeBetter(p)
	}
}

// mayBeBetter remembers that the score of a pair may have risen.
func (v *vocabularyTrainer) mayBeBetter(p *piecePair) {
	if !p.better {
		p.better = true
		v.better = append(v.better, p)
	}
}

// requeue brings the queue up to date where scores have risen.
func (v *vocabularyTrainer) requeue() {
	for _, p := range v.better {
		p.better = false
		if score := v.score(p); score > p.score {
			p.score = score
			heap.Fix(&v.queue, p.at)
		}
	}
	v.better = v.better[:0]
}

// score says how good it is to join a pair; 0 if it is too rare.
func (v *vocabularyTrainer) score(p *piecePair) float64 {
	switch {
	case p.count < max(v.MinFrequency, 1):
		return 0
	case v.Likelihood:
		return float64(p.count) / (float64(v.frequency[p.left]) * float64(v.frequency[p.right]))
	}
	return float64(p.count)
}

// pairQueue is a heap (container/heap) with the best pair on top.
type pairQueue []*piecePair

func (q pairQueue) Len() int { return len(q) }

func (q pairQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q pairQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if a.score != b.score {
		return a.score > b.score
	}
	return a.left < b.left || a.left == b.left && a.right < b.right
}

func (q *pairQueue) Push(x any) { *q = append(*q, x.(*piecePair)) }

func (q *pairQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
