package main

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Step 1 of the lesson: text becomes tokens. A vocabulary of some thousand
// pieces is enough for all text, because a rare word is put together from
// pieces, of which all but the first begin with ##:
//
//	"He likes playing."  →  he likes play ##ing .
//
// and two sentences become one sequence, with [CLS] before and [SEP] after:
//
//	[CLS] my dog is cute [SEP] he likes play ##ing [SEP]
//
// The pieces are those that Hugging Face's BERT tokenizer gives (BertNormalizer,
// BertPreTokenizer, WordPiece).

// The special tokens. Their ids are wherever a vocabulary has them.
const (
	padToken  = "[PAD]"
	unkToken  = "[UNK]" // a word that the vocabulary cannot spell
	clsToken  = "[CLS]" // before the first sentence
	sepToken  = "[SEP]" // after each sentence
	maskToken = "[MASK]"
)

var specialTokens = []string{padToken, unkToken, clsToken, sepToken, maskToken}

// continuing marks a piece that goes on with a word.
const continuing = "##"

// maxWordLength is the longest word that is looked at, in characters.
const maxWordLength = 100

// A Tokenizer turns text into ids and back. It is safe for concurrent use.
type Tokenizer struct {
	Words []string // the vocabulary: the line of vocab.txt is the id
	Rules          // by which text becomes words; to be set before the first text

	ids                      map[string]int32
	pad, unk, cls, sep, mask int32
	longest                  int       // bytes of the longest piece
	seen                     sync.Pool // of *seenWords, for Encode
}

// Rules say what the words of a text are, with the names of
// tokenizer_config.json.
type Rules struct {
	LowerCase    bool // do_lower_case
	StripAccents bool // strip_accents; unless it is said, like LowerCase
	SplitChinese bool // tokenize_chinese_chars: each one is a word
}

// rulesFor are the rules for an uncased vocabulary (lower case, no accents) or
// for a cased one.
func rulesFor(lowerCase bool) Rules { return Rules{lowerCase, lowerCase, true} }

// NewTokenizer makes a tokenizer of a vocabulary. It has to have all special
// tokens, and no word twice.
func NewTokenizer(words []string, lowerCase bool) (*Tokenizer, error) {
	t := &Tokenizer{Words: words, Rules: rulesFor(lowerCase), ids: make(map[string]int32, len(words))}
	for i, w := range words {
		if first, ok := t.ids[w]; ok {
			return nil, fmt.Errorf("line %d repeats line %d, %q", i+1, first+1, w)
		}
		t.ids[w] = int32(i)
		t.longest = max(t.longest, len(w))
	}
	t.seen.New = func() any { return new(seenWords) }
	for i, id := range []*int32{&t.pad, &t.unk, &t.cls, &t.sep, &t.mask} {
		var ok bool
		if *id, ok = t.ids[specialTokens[i]]; !ok {
			return nil, fmt.Errorf("%s is missing", specialTokens[i])
		}
	}
	if len(words) == len(specialTokens) {
		return nil, errors.New("there is no token but the special ones")
	}
	return t, nil
}

// special tells whether id is one of the special tokens.
func (t *Tokenizer) special(id int32) bool {
	return id == t.pad || id == t.unk || id == t.cls || id == t.sep || id == t.mask
}

// A Span is the bytes text[Begin:End].
type Span struct{ Begin, End int }

// EncodeSpans returns the ids of the tokens of text, and the bytes that each
// came from. A special token that stands in the text keeps its meaning.
//
// This is the algorithm. Encode, below, returns the same ids sooner.
func (t *Tokenizer) EncodeSpans(text string) (ids []int32, spans []Span) {
	for at := 0; at < len(text); {
		plain, token := cutSpecial(text[at:])
		for word := range t.words(plain, maxWordLength) {
			ids, spans = t.appendPieces(ids, spans, word, at)
		}
		at += len(plain)
		if token != "" {
			ids, spans = append(ids, t.ids[token]), append(spans, Span{at, at + len(token)})
			at += len(token)
		}
	}
	return ids, spans
}

// Tokens are the words of ids.
func (t *Tokenizer) Tokens(ids []int32) []string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = t.Words[id]
	}
	return tokens
}

// Text puts tokens together again: ##pieces to the word before them.
func (t *Tokenizer) Text(ids []int32) string {
	return strings.ReplaceAll(strings.Join(t.Tokens(ids), " "), " "+continuing, "")
}

// Pair is [CLS] a [SEP] b [SEP] and the segment of each token, 0 to the first
// [SEP] and 1 from there on. Without b it is [CLS] a [SEP].
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

// appendPieces appends the pieces of a word of the text at a place: again and
// again the longest piece of the vocabulary that the rest of the word begins with.
func (t *Tokenizer) appendPieces(ids []int32, spans []Span, w *word, at int) ([]int32, []Span) {
	unknown := func() ([]int32, []Span) {
		return append(ids, t.unk), append(spans, Span{at + w.from[0].Begin, at + w.from[len(w.from)-1].End})
	}
	if w.length > maxWordLength {
		return unknown()
	}
	pieces, places := ids, spans
	for begin := 0; begin < len(w.text); {
		id, end := t.longestPiece(w.text, begin)
		if end == begin { // no piece fits, so the whole word is unknown
			return unknown()
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

// cutSpecial returns the text before the first special token, and that token.
func cutSpecial(text string) (plain, token string) {
	for i := range len(text) {
		if text[i] == '[' {
			if token := leadingSpecial(text[i:]); token != "" {
				return text[:i], token
			}
		}
	}
	return text, ""
}

// leadingSpecial returns the special token that text begins with, if it does.
func leadingSpecial(text string) string {
	for _, token := range specialTokens {
		if strings.HasPrefix(text, token) {
			return token
		}
	}
	return ""
}

// A word is what pieces are looked for in.
type word struct {
	text   []byte // as the vocabulary would have it
	from   []Span // the character of the original text that each byte came from
	length int    // characters; text has no more than the first most of them
	most   int
}

// add adds a character that came from a character of the original.
func (w *word) add(r rune, from Span) {
	if w.length++; w.length > w.most {
		w.from[len(w.from)-1].End = from.End
		return
	}
	w.text = utf8.AppendRune(w.text, r)
	for len(w.from) < len(w.text) {
		w.from = append(w.from, from)
	}
}

// words splits text into words: at white space, and round each punctuation mark
// and each Chinese character, which is a word by itself. Of a word that is longer
// than most characters it keeps the beginning. A word that it yields is
// overwritten by the next one.
func (rules Rules) words(text string, most int) iter.Seq[*word] {
	return func(yield func(*word) bool) {
		w, more := &word{most: most}, true
		var normalized []rune // what a character becomes
		flush := func() {
			if w.length > 0 {
				more = more && yield(w)
				w.text, w.from, w.length = w.text[:0], w.from[:0], 0
			}
		}
		for at, r := range text {
			if r == utf8.RuneError || isControl(r) {
				continue // dropped, also what is no UTF-8
			}
			if unicode.IsSpace(r) {
				flush()
				continue
			}
			alone := rules.SplitChinese && isChinese(r)
			if alone {
				flush()
			}
			normalized = rules.normalized(normalized[:0], r)
			for _, n := range normalized {
				if isPunctuation(n) {
					flush()
				}
				w.add(n, Span{at, at + utf8.RuneLen(r)})
				if isPunctuation(n) {
					flush()
				}
			}
			if alone {
				flush()
			}
			if !more {
				return
			}
		}
		flush()
	}
}

// normalized appends to buf what becomes of a character that is not dropped.
func (rules Rules) normalized(buf []rune, r rune) []rune {
	if rules.StripAccents {
		buf = stripped(buf, r)
	} else {
		buf = append(buf, r)
	}
	if rules.LowerCase {
		for i, r := range buf {
			if buf[i] = laterCapitals.ToLower(r); r == '\u0130' { // the only capital that becomes two: i and a dot above
				buf = append(buf, '\u0307')
			}
		}
	}
	return buf
}

// stripped appends a character without its accents: of its canonical decomposition
// (é is e and an acute accent, and a Hangul syllable is its two or three letters)
// the nonspacing marks are left out.
//
// One thing is not as in Hugging Face's tokenizer: marks that stay are not put
// into canonical order. No writing system asks for two of them in another one.
func stripped(buf []rune, r rune) []rune {
	const base, count, vowels, finals = 0xAC00, 11172, 21, 28
	switch i := r - base; {
	case r < utf8.RuneSelf:
		return append(buf, r)
	case i >= 0 && i < count:
		buf = append(buf, 0x1100+i/(vowels*finals), 0x1161+i/finals%vowels)
		if final := i % finals; final > 0 {
			buf = append(buf, 0x11A7+final)
		}
		return buf
	case unicode.Is(nonspacingMarks, r):
		return buf
	}
	if base, ok := bases()[r]; ok {
		return append(buf, base...)
	}
	return append(buf, r)
}

//go:generate go run testdata/unicode_table.go

// bases is strippedTable as a map.
var bases = sync.OnceValue(func() map[rune][]rune {
	table := map[rune][]rune{}
	for _, field := range strings.Fields(strippedTable) {
		base, members, _ := strings.Cut(field, ":")
		for _, r := range members {
			table[r] = []rune(base)
		}
	}
	return table
})

// laterCapitals are the capitals that Unicode has had since version 15, which the
// oldest Go that serves does not know.
var laterCapitals = unicode.SpecialCase{
	lowerBy(0x1C89, 0x1C89, 1), lowerBy(0xA7CB, 0xA7CB, 0x264-0xA7CB), lowerBy(0xA7CC, 0xA7CC, 1), lowerBy(0xA7CE, 0xA7CE, 1),
	lowerBy(0xA7D2, 0xA7D2, 1), lowerBy(0xA7D4, 0xA7D4, 1), lowerBy(0xA7DA, 0xA7DA, 1), lowerBy(0xA7DC, 0xA7DC, 0x19B-0xA7DC),
	lowerBy(0x10D50, 0x10D65, 0x20), lowerBy(0x16EA0, 0x16EB8, 0x1B),
}

// lowerBy: the lower case of lo to hi is so many code points on.
func lowerBy(lo, hi uint32, distance rune) unicode.CaseRange {
	return unicode.CaseRange{Lo: lo, Hi: hi, Delta: [unicode.MaxCase]rune{unicode.LowerCase: distance}}
}

// isControl: control and format characters, and those of private use. Tab and
// line breaks are white space.
func isControl(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' && (unicode.In(r, unicode.Cc, unicode.Co) || unicode.Is(formatCharacters, r))
}

// isPunctuation: Unicode's P*, and all ASCII that is no letter, digit or space,
// such as $, + and ~.
func isPunctuation(r rune) bool {
	return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~' || r >= utf8.RuneSelf && unicode.Is(punctuation, r)
}

// isChinese: the blocks of CJK ideographs that BERT knows.
func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF ||
		r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B73F ||
		r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF || // U+2B920 as in Hugging Face, for U+2B820
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}

// Encode returns the ids of the tokens of text: those of EncodeSpans.
//
// Text has few different words. Between ASCII white space and punctuation, where
// words end in any case, it looks the bytes up in a table of those that it has
// met lately, and goes the long way only with what is not there.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.appendIDs(make([]int32, 0, len(text)/4+8), text) // English has a token for each four bytes or more
}

// appendIDs appends what Encode returns to ids.
func (t *Tokenizer) appendIDs(ids []int32, text string) []int32 {
	seen := t.seen.Get().(*seenWords)
	defer t.seen.Put(seen)
	for begin := 0; begin < len(text); {
		end := endOfStretch(text, begin)
		if text[begin] == '[' {
			end = begin + max(1, len(leadingSpecial(text[begin:])))
		}
		if ascii[text[begin]] != white {
			ids = seen.append(ids, t, text[begin:end])
		}
		begin = end
	}
	return ids
}

// endOfStretch returns where what begins at a byte of text ends: white space or a
// punctuation mark is a byte, and all else goes on to the next of these.
func endOfStretch(text string, begin int) (end int) {
	end = begin + 1
	if ascii[text[begin]] == inner {
		for end < len(text) && ascii[text[end]] == inner {
			end++
		}
	}
	return end
}

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

// ascii is what each byte is for Encode. The white space is that which is not
// dropped, the marks are all that isPunctuation has.
var ascii = func() (kinds [256]uint8) {
	for b := range kinds {
		switch {
		case b == ' ' || b == '\t' || b == '\n' || b == '\r':
			kinds[b] = white
		case b < utf8.RuneSelf && isPunctuation(rune(b)):
			kinds[b] = mark
		}
	}
	return kinds
}()

const (
	inner = iota // of a word, or not ASCII, or dropped
	white
	mark
)
