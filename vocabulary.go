package main

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Where the vocabulary of step 1 comes from.

// CountWords counts how often each word of a text occurs.
func CountWords(text *Text, lowerCase bool) map[string]int {
	counts := map[string]int{}
	for _, document := range text.Documents {
		for _, sentence := range document {
			for word := range rulesFor(lowerCase).words(sentence) {
				counts[string(word.text)]++
			}
		}
	}
	return counts
}

// TrainVocabulary learns a vocabulary of at most size words from how often each
// word of a text occurs. It begins with the special tokens and the letters, and
// then, again and again, joins the two pieces that most often stand side by
// side; of several such pairs, the one with the smaller ids. With hug ×10,
// pug ×5 and hugs ×3:
//
//	##u ##g (18 times) → ##ug    h ##ug (13) → hug    p ##ug (5) → pug    hug ##s (3) → hugs
func TrainVocabulary(counts map[string]int, size int) ([]string, error) {
	v := &vocabularyTrainer{ids: map[string]int32{}, counts: map[piecePair]int{}, where: map[piecePair][]int{}}
	for _, s := range specialTokens {
		v.id(s)
	}
	v.spell(counts)
	if len(v.words) == 0 {
		return nil, errors.New("there is no word to learn a vocabulary from")
	}
	if len(v.pieces) > size {
		return nil, fmt.Errorf("a vocabulary of %d words is too small: special tokens and letters alone are %d", size, len(v.pieces))
	}
	for len(v.pieces) < size && v.queue.Len() > 0 {
		// A count that has changed since its entry was made is looked at
		// again later: if it rose, there is a newer entry.
		top := heap.Pop(&v.queue).(countedPair)
		switch count := v.counts[top.piecePair]; {
		case count == top.count:
			v.merge(top.piecePair)
		case count < top.count && count >= minPairCount:
			heap.Push(&v.queue, countedPair{top.piecePair, count})
		}
	}
	return v.pieces, nil
}

// minPairCount is how often a pair has to occur to be joined.
const minPairCount = 2

type vocabularyTrainer struct {
	pieces []string         // the vocabulary so far
	ids    map[string]int32 // of the pieces
	words  [][]int32        // each word of the text, in pieces
	times  []int            // how often it occurs
	counts map[piecePair]int
	where  map[piecePair][]int // the words in which a pair has occurred
	queue  pairQueue
}

type piecePair struct{ left, right int32 }

// id returns the id of a piece, and makes it one if it is new.
func (v *vocabularyTrainer) id(piece string) int32 {
	id, ok := v.ids[piece]
	if !ok {
		id = int32(len(v.pieces))
		v.ids[piece] = id
		v.pieces = append(v.pieces, piece)
	}
	return id
}

// spell takes every word as its letters. The letters are the first pieces: in
// order, first all as they are, then those with ## that go on with a word.
func (v *vocabularyTrainer) spell(counts map[string]int) {
	letters, inside := map[string]bool{}, map[string]bool{}
	for word := range counts {
		for i, r := range word {
			letters[string(r)] = true
			if i > 0 {
				inside[continuing+string(r)] = true
			}
		}
	}
	for _, set := range []map[string]bool{letters, inside} {
		for _, piece := range slices.Sorted(maps.Keys(set)) {
			v.id(piece)
		}
	}
	change := map[piecePair]int{}
	for w, word := range slices.Sorted(maps.Keys(counts)) {
		var pieces []int32
		for i, r := range word {
			if i == 0 {
				pieces = append(pieces, v.id(string(r)))
			} else {
				pieces = append(pieces, v.id(continuing+string(r)))
			}
		}
		v.words, v.times = append(v.words, pieces), append(v.times, counts[word])
		v.countPairs(change, w, 1)
	}
	v.apply(change)
}

// merge makes a pair of pieces into one, in every word in which it occurs.
func (v *vocabularyTrainer) merge(pair piecePair) {
	joined := v.id(v.pieces[pair.left] + strings.TrimPrefix(v.pieces[pair.right], continuing))
	change := map[piecePair]int{}
	for _, w := range v.where[pair] {
		v.countPairs(change, w, -1)
		old, merged := v.words[w], v.words[w][:0]
		for i := 0; i < len(old); i++ {
			if i+1 < len(old) && old[i] == pair.left && old[i+1] == pair.right {
				merged = append(merged, joined)
				i++
			} else {
				merged = append(merged, old[i])
			}
		}
		v.words[w] = merged
		v.countPairs(change, w, 1)
	}
	delete(v.where, pair)
	v.apply(change)
}

// countPairs adds the pairs of word w, or with sign −1 takes them away.
func (v *vocabularyTrainer) countPairs(change map[piecePair]int, w, sign int) {
	word := v.words[w]
	for i := range len(word) - 1 {
		pair := piecePair{word[i], word[i+1]}
		change[pair] += sign * v.times[w]
		if where := v.where[pair]; sign > 0 && (len(where) == 0 || where[len(where)-1] != w) {
			v.where[pair] = append(where, w)
		}
	}
}

// apply brings the counts up to date, and the queue where one has risen.
func (v *vocabularyTrainer) apply(change map[piecePair]int) {
	for pair, n := range change {
		v.counts[pair] += n
		if n > 0 && v.counts[pair] >= minPairCount {
			heap.Push(&v.queue, countedPair{pair, v.counts[pair]})
		}
	}
}

// countedPair is a pair and how often it occurred when it was queued.
type countedPair struct {
	piecePair
	count int
}

// pairQueue is a heap (container/heap) with the most frequent pair on top.
type pairQueue []countedPair

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pairQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[j].count, q[i].count), cmp.Compare(q[i].left, q[j].left), cmp.Compare(q[i].right, q[j].right)) < 0
}
func (q *pairQueue) Push(x any) { *q = append(*q, x.(countedPair)) }
func (q *pairQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
