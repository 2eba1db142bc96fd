package main

import "hash/maphash"

// seenWords has, in a place that follows from its bytes, the word that has come
// there last. Longer words, and those of more pieces, have no place in it.
type seenWords [1 << 15]struct {
	word   [30]byte
	length uint8 // of word
	count  uint8 // of ids
	ids    [8]int32
}

// seenSeed makes a place of a word. It differs from run to run, the ids do not.
var seenSeed = maphash.MakeSeed()

// append appends the ids of a word to ids.
func (seen *seenWords) append(ids []int32, t *Tokenizer, word string) []int32 {
	place := &seen[maphash.String(seenSeed, word)%uint64(len(seen))]
	if string(place.word[:place.length]) == word {
		return append(ids, place.ids[:place.count]...)
	}
	before := len(ids)
	if leadingSpecial(word) != "" {
		ids = append(ids, t.ids[word])
	} else {
		var spans []Span // not needed
		for w := range t.words(word, maxWordLength) {
			ids, spans = t.appendPieces(ids, spans[:0], w, 0)
		}
	}
	if found := ids[before:]; len(word) <= len(place.word) && len(found) <= len(place.ids) {
		place.length, place.count = uint8(copy(place.word[:], word)), uint8(copy(place.ids[:], found))
	}
	return ids
}
