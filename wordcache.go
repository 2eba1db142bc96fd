package main

import "hash/maphash"

// Step 1 of the lesson, a help: text has few different words, so the ids of a word that
// has come up lately are remembered. They are the same ids, only sooner.

// A WordCache has, in a place that follows from its bytes, the word that has come there
// last. Longer words, and those of more pieces, have no place in it.
type WordCache [1 << 15]struct {
	word   [30]byte
	length uint8 // of word
	count  uint8 // of ids
	ids    [8]int32
}

// cacheSeed makes a place of a word. It differs from run to run, the ids do not.
var cacheSeed = maphash.MakeSeed()

// Append appends the ids of a word to ids: those that it remembers, or those that
// encode appends.
func (c *WordCache) Append(ids []int32, word string, encode func(ids []int32, word string) []int32) []int32 {
	place := &c[maphash.String(cacheSeed, word)%uint64(len(c))]
	if string(place.word[:place.length]) == word {
		return append(ids, place.ids[:place.count]...)
	}
	before := len(ids)
	ids = encode(ids, word)
	if found := ids[before:]; len(word) <= len(place.word) && len(found) <= len(place.ids) {
		place.length, place.count = uint8(copy(place.word[:], word)), uint8(copy(place.ids[:], found))
	}
	return ids
}
