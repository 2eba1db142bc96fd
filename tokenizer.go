package main

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"unicode/utf8"
)

// Step 1 of the lesson: words become tokens. A vocabulary of some thousand
// pieces is enough for all text, because a rare word is put together from
// pieces, of which all but the first begin with ##:
//
//	"He likes playing."  →  he likes play ##ing .
//
// and two sentences become one sequence, with [CLS] before and [SEP] after:
//
//	[CLS] my dog is cute [SEP] he likes play ##ing [SEP]
//
// The tokens are those that Hugging Face's BertTokenizer gives (its WordPiece).

// The special tokens. Their ids are wherever a vocabulary has them.
const (
	padToken  = "[PAD]"  // fills up short sequences elsewhere; here it has no use
	unkToken  = "[UNK]"  // a word that the vocabulary cannot spell
	clsToken  = "[CLS]"  // before the first sentence
	sepToken  = "[SEP]"  // after each sentence
	maskToken = "[MASK]" // hides a token that is to be guessed
)

// specialTokens are all of them.
var specialTokens = []string{padToken, unkToken, clsToken, sepToken, maskToken}

// continuing marks a piece that goes on with a word.
const continuing = "##"

// maxWordLength is the longest word that is looked at, in characters.
const maxWordLength = 100

// A Tokenizer turns text into ids and back. It is safe for concurrent use.
type Tokenizer struct {
	Vocabulary []string // the vocabulary: the line of vocab.txt is the id
	Rules               // by which text becomes words; to be set before the first text

	ids                      map[string]int32
	pad, unk, cls, sep, mask int32
	longest                  int       // bytes of the longest piece
	mostCharacters           int       // of a word; longer ones are unknown
	repeated                 string    // what stands in the vocabulary more than once, of which the last one counts
	caches                   sync.Pool // of *WordCache, for Encode

	// Tokens that stay whole in a text; added ones need not be pieces of words, too.
	kept     []string // the special ones, and added ones that are found in the text as it is
	whole    []string // added ones that are found in the normalised text
	keptIDs  map[string]int32
	wholeIDs map[string]int32 // by what they are when normalised
	added    []AddedToken     // all that were added
}

// NewTokenizer makes a tokenizer of a vocabulary. It has to have all special tokens. Of a
// word that comes twice the last one counts, as in Hugging Face.
func NewTokenizer(words []string, lowerCase bool) (*Tokenizer, error) {
	t := &Tokenizer{
		Vocabulary: words, Rules: RulesFor(lowerCase), ids: make(map[string]int32, len(words)), mostCharacters: maxWordLength,
		kept: specialTokens, keptIDs: map[string]int32{}, wholeIDs: map[string]int32{},
	}
	for i, w := range words {
		if w == "" { // an id that has no word
			continue
		}
		if first, ok := t.ids[w]; ok {
			t.repeated = fmt.Sprintf("line %d repeats line %d, %q, and counts instead of it", i+1, first+1, w)
		}
		t.ids[w] = int32(i)
		t.longest = max(t.longest, len(w))
	}
	t.caches.New = func() any { return new(WordCache) }
	for i, id := range []*int32{&t.pad, &t.unk, &t.cls, &t.sep, &t.mask} {
		var ok bool
		if *id, ok = t.ids[specialTokens[i]]; !ok {
			return nil, fmt.Errorf("%s is missing, want all of %s", specialTokens[i], strings.Join(specialTokens, " "))
		}
		t.keptIDs[specialTokens[i]] = *id
	}
	if len(words) == len(specialTokens) {
		return nil, errors.New("there is no token but the special ones")
	}
	return t, nil
}

// EncodeSpans returns the ids of the tokens of text, and the bytes that each
// came from. A special token that stands in the text keeps its meaning.
//
// This is the algorithm (in FirstSpans): words, and the pieces of each (appendPieces).
// Encode, below, returns the same ids sooner.
func (t *Tokenizer) EncodeSpans(text string) (ids []int32, spans []Span) {
	ids, spans, _ = t.FirstSpans(text, math.MaxInt)
	return ids, spans
}

// FirstSpans is EncodeSpans for no more than limit tokens, and how many more there are.
func (t *Tokenizer) FirstSpans(text string, limit int) (ids []int32, spans []Span, more int) {
	if limit < math.MaxInt {
		ids, spans = make([]int32, 0, limit), make([]Span, 0, limit)
	}
	trim := func() {
		if cut := len(ids) - limit; cut > 0 {
			ids, spans, more = ids[:limit], spans[:limit], more+cut
		}
	}
	for at := 0; at < len(text); {
		plain, token := t.cutKept(text[at:])
		for word := range t.words(plain) {
			ids, spans = t.appendPieces(ids, spans, word, at)
			trim()
		}
		at += len(plain)
		if token != "" {
			ids, spans = append(ids, t.keptIDs[token]), append(spans, Span{at, at + len(token)})
			at += len(token)
			trim()
		}
	}
	return ids, spans, more
}

// appendPieces appends the pieces of a word of the text at a place: again and
// again the longest piece of the vocabulary that the rest of the word begins with.
func (t *Tokenizer) appendPieces(ids []int32, spans []Span, w *Word, at int) ([]int32, []Span) {
	inOne := func(id int32) ([]int32, []Span) {
		return append(ids, id), append(spans, Span{at + w.from[0].Begin, at + w.from[len(w.from)-1].End})
	}
	if w.whole {
		return inOne(t.wholeIDs[string(w.text)])
	}
	if w.length > t.mostCharacters {
		return inOne(t.unk)
	}
	pieces, places := ids, spans
	for begin := 0; begin < len(w.text); {
		id, end := t.longestPiece(w.text, begin)
		if end == begin { // no piece fits, so the whole word is unknown
			return inOne(t.unk)
		}
		pieces, places = append(pieces, id), append(places, Span{at + w.from[begin].Begin, at + w.from[end-1].End})
		begin = end
	}
	return pieces, places
}

// longestPiece returns the longest piece of the vocabulary that is word[begin:end],
// or end = begin if there is none.
func (t *Tokenizer) longestPiece(word []byte, begin int) (id int32, end int) {
	piece, prefix := make([]byte, 0, 64), 0
	if begin > 0 {
		piece, prefix = append(piece, continuing...), len(continuing)
	}
	piece = append(piece, word[begin:min(len(word), begin+t.longest)]...)
	for len(piece) > prefix {
		if id, ok := t.ids[string(piece)]; ok {
			return id, begin + len(piece) - prefix
		}
		_, size := utf8.DecodeLastRune(piece[prefix:])
		piece = piece[:len(piece)-size]
	}
	return 0, begin
}

// words are the words of a text, and the added tokens in it.
func (t *Tokenizer) words(text string) iter.Seq[*Word] {
	if len(t.whole) > 0 {
		return t.SplitAround(t.whole, text, t.mostCharacters)
	}
	return t.SplitWords(text, t.mostCharacters)
}

// cutKept returns the text before the first token that is kept as it is, and that token.
func (t *Tokenizer) cutKept(text string) (plain, token string) {
	for i := range len(text) {
		if text[i] == '[' || len(t.added) > 0 { // all special tokens begin with [
			if token := LongestPrefix(text[i:], t.kept); token != "" {
				return text[:i], token
			}
		}
	}
	return text, ""
}

// Encode returns the ids of the tokens of text: those of EncodeSpans, only sooner. It
// looks each stretch of the text up among those that have come up lately, and goes the
// long way only with what is not there.
func (t *Tokenizer) Encode(text string) []int32 {
	ids, _ := t.First(text, math.MaxInt)
	return ids
}

// First is Encode for no more than limit tokens, so that memory is needed for these alone, and
// how many more there are.
func (t *Tokenizer) First(text string, limit int) (ids []int32, more int) {
	if len(t.added) > 0 { // they may go over the ends of stretches
		ids, _, more = t.FirstSpans(text, limit)
		return ids, more
	}
	cache := t.caches.Get().(*WordCache)
	defer t.caches.Put(cache)
	ids = make([]int32, 0, min(len(text)/4, limit)+8) // English has a token for each four bytes or more
	for begin := 0; begin < len(text); {
		end := EndOfStretch(text, begin)
		if text[begin] == '[' {
			end = begin + max(1, len(LongestPrefix(text[begin:], t.kept)))
		}
		if ascii[text[begin]] != white {
			ids = cache.Append(ids, text[begin:end], t.appendIDs)
		}
		if cut := len(ids) - limit; cut > 0 {
			ids, more = ids[:limit], more+cut
		}
		begin = end
	}
	return ids, more
}

// appendIDs appends the ids of a stretch, or of a special token, to ids.
func (t *Tokenizer) appendIDs(ids []int32, stretch string) []int32 {
	if LongestPrefix(stretch, t.kept) != "" {
		return append(ids, t.keptIDs[stretch])
	}
	var spans []Span // not needed
	for w := range t.SplitWords(stretch, t.mostCharacters) {
		ids, spans = t.appendPieces(ids, spans[:0], w, 0)
	}
	return ids
}

// Tokens are the vocabulary's entries for ids.
func (t *Tokenizer) Tokens(ids []int32) []string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = t.Vocabulary[id]
	}
	return tokens
}

// Text puts tokens together again: ##pieces to the word before them.
func (t *Tokenizer) Text(ids []int32) string {
	return strings.ReplaceAll(strings.Join(t.Tokens(ids), " "), " "+continuing, "")
}

// Pair is [CLS] a [SEP] b [SEP] and the segment of each token: 0 up to and including the
// first [SEP], 1 after it. Without b it is [CLS] a [SEP].
//
// [SEP] ends a sentence, so there are two. [CLS] ends nothing: it is a place that belongs
// to no word, where the encoder can gather what it makes of the sequence as a whole
// ("classification"). One such place is enough, and in front it has the same position in
// every sequence, however long the sentences are.
func (t *Tokenizer) Pair(a, b []int32) (ids, segments []int32) {
	ids = append(append(append(ids, t.cls), a...), t.sep)
	segments = make([]int32, len(ids))
	if len(b) > 0 {
		ids = append(append(ids, b...), t.sep)
		for len(segments) < len(ids) {
			segments = append(segments, 1)
		}
	}
	return ids, segments
}

// pairSpecials is how many tokens a pair has beside those of its sentences.
const pairSpecials = 3

// Sequence encodes a sentence, or a pair where b is not empty, in at most maxTokens
// tokens. What is too much is cut off from the ends (LongestFirst), and counted. Of two halves
// the longer sentence has the larger, or B, as in Hugging Face's fast tokenizers.
func (t *Tokenizer) Sequence(a, b string, maxTokens int) (ids, segments []int32, cut int) {
	x, moreX := t.First(a, maxTokens)
	y, moreY := t.First(b, maxTokens)
	allX, allY, room := len(x)+moreX, len(y)+moreY, maxTokens-2
	if allY > 0 {
		room--
	}
	keepX, keepY := LongestFirst(allX, allY, room)
	if allX <= allY {
		keepY, keepX = LongestFirst(allY, allX, room)
	}
	ids, segments = t.Pair(x[:keepX], y[:keepY])
	return ids, segments, max(allX+allY-room, 0)
}

// LongestFirst is how many of a and of b tokens are kept where there is room for room
// tokens in all. Google's BERT takes one token after another away from whichever part
// is longer, or from B where both are as long. That leaves each part half of the room,
// and whatever the other one does not need.
func LongestFirst(a, b, room int) (keepA, keepB int) {
	return min(a, max(room-b, room-room/2)), min(b, max(room-a, room/2))
}

// special tells whether id is one of the special tokens.
func (t *Tokenizer) special(id int32) bool {
	return id == t.pad || id == t.unk || id == t.cls || id == t.sep || id == t.mask
}

// RandomOrdinary draws a token that is not special.
func (t *Tokenizer) RandomOrdinary(r *rand.Rand) int32 {
	for {
		if id := int32(r.IntN(len(t.Vocabulary))); !t.special(id) {
			return id
		}
	}
}

// An AddedToken is one that stays whole in a text. Such tokens are added to a vocabulary
// after it was trained, and may be more than a word.
type AddedToken struct {
	Content    string `json:"content"`
	Normalized bool   `json:"normalized"` // it is looked for after the rules were applied
	Special    bool   `json:"special"`
	SingleWord bool   `json:"single_word"` // not known here
	LeftStrip  bool   `json:"lstrip"`      // white space beside it is part of it, which changes no id
	RightStrip bool   `json:"rstrip"`
}
