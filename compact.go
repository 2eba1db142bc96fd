package main

import (
	"math/bits"
	"sort"
)

// The ground: lists that take little memory, for a text of which there is much.

// A long is a slice that grows without being copied, and so without needing twice
// the memory for a while.
type long[T any] struct{ chunks [][]T }

const chunkBits = 16 // a chunk has 2¹⁶ elements

func (l *long[T]) append(x T) {
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) == 1<<chunkBits {
		l.chunks = append(l.chunks, make([]T, 0, 1<<chunkBits))
		last++
	}
	l.chunks[last] = append(l.chunks[last], x)
}

// At is element i.
func (l *long[T]) At(i int) T { return *l.place(i) }

func (l *long[T]) place(i int) *T { return &l.chunks[i>>chunkBits][i&(1<<chunkBits-1)] }

// Len is the number of elements.
func (l *long[T]) Len() int {
	last := len(l.chunks) - 1
	if last < 0 {
		return 0
	}
	return last<<chunkBits + len(l.chunks[last])
}

// A rising is a list of numbers, each greater than the one before. It takes a bit for each
// number that there could be, so that many small ones, as where the sentences of a text begin,
// take less than a []int.
type rising struct {
	n      int
	words  long[uint64] // bit k of word i: 64i + k is one of them
	before long[int]    // how many there are before each block of words
}

const blockOfWords = 16

func (l *rising) append(x int) {
	for l.words.Len() <= x/64 {
		if l.words.Len()%blockOfWords == 0 {
			l.before.append(l.n)
		}
		l.words.append(0)
	}
	*l.words.place(x / 64) |= 1 << (x % 64)
	l.n++
}

// At is number i.
func (l *rising) At(i int) int {
	block := sort.Search(l.before.Len(), func(k int) bool { return l.before.At(k) > i }) - 1
	i -= l.before.At(block)
	for at := block * blockOfWords; ; at++ {
		word := l.words.At(at)
		if n := bits.OnesCount64(word); n <= i {
			i -= n
			continue
		}
		for range i {
			word &= word - 1 // without its lowest bit
		}
		return 64*at + bits.TrailingZeros64(word)
	}
}

// Len is how many there are.
func (l *rising) Len() int { return l.n }
