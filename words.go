package main

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Step 1 of the lesson, words. Before the vocabulary is asked, text is cut at
// white space and round punctuation and, for an uncased vocabulary, loses its capitals
// and accents (Hugging Face's BertNormalizer and BertPreTokenizer):
//
//	"Hé  likes playing."  →  he likes playing .

// Rules say what the words of a text are, with the names of
// tokenizer_config.json.
type Rules struct {
	LowerCase    bool // do_lower_case
	StripAccents bool // strip_accents; if it is not given, the same as LowerCase
	SplitChinese bool // tokenize_chinese_chars: each one is a word
}

// RulesFor are the rules for an uncased vocabulary (lower case, no accents) or
// for a cased one.
func RulesFor(lowerCase bool) Rules { return Rules{lowerCase, lowerCase, true} }

// A Span goes from Begin up to End: of bytes of a text here, of tokens in answer.go.
type Span struct{ Begin, End int }

// A Word is what pieces are looked for in.
type Word struct {
	text   []byte // as the vocabulary would have it
	from   []Span // the character of the original text that each byte came from
	length int    // characters, also those beyond the limit, which text leaves out
	limit  int    // characters that text keeps
	whole  bool   // it is a token as it stands (SplitAround)
}

// add adds a character that came from a character of the original.
func (w *Word) add(r rune, from Span) {
	if w.length++; w.length > w.limit {
		w.from[len(w.from)-1].End = from.End
		return
	}
	w.text = utf8.AppendRune(w.text, r)
	for len(w.from) < len(w.text) {
		w.from = append(w.from, from)
	}
}

// SplitWords splits text into words: at white space, and round each punctuation mark
// and each Chinese character, which is a word by itself. Of a word it keeps the first
// characters, no more than limit. A word that it yields is overwritten by the next one.
func (rules Rules) SplitWords(text string, limit int) iter.Seq[*Word] {
	return func(yield func(*Word) bool) {
		w, more := &Word{limit: limit}, true
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
			buf[i] = laterCapitals.ToLower(r)
			if r == '\u0130' { // the only capital that becomes two: i and a dot above
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
	const hangul, count, vowels, finals = 0xAC00, 11172, 21, 28
	switch i := r - hangul; {
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

// lowerBy: the lower case of lo to hi is distance code points on.
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

// ascii is what each byte is for EndOfStretch. The white space is that which is not
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

// EndOfStretch returns where the stretch that begins at a byte of text ends. White space
// and punctuation marks in ASCII are a stretch of one byte each; anything else goes on to
// the next of these, where words end in any case. So text may be cut into stretches
// first, and each different one into words only once.
func EndOfStretch(text string, begin int) (end int) {
	end = begin + 1
	if ascii[text[begin]] == inner {
		for end < len(text) && ascii[text[end]] == inner {
			end++
		}
	}
	return end
}

// SplitAround is SplitWords, but some tokens, which were added to a vocabulary, stay whole
// wherever they stand in the normalised text, even inside a word.
func (rules Rules) SplitAround(tokens []string, text string, limit int) iter.Seq[*Word] {
	return func(yield func(*Word) bool) {
		plain, from := rules.NormalizeAll(text)
		begin := 0
		wordsTo := func(end int) bool {
			for w := range rules.SplitWords(plain[begin:end], limit) {
				for i, s := range w.from {
					w.from[i] = Span{from[begin+s.Begin].Begin, from[begin+s.End-1].End}
				}
				if !yield(w) {
					return false
				}
			}
			return true
		}
		for at := 0; at < len(plain); at++ {
			if token := LongestPrefix(plain[at:], tokens); token != "" {
				end := at + len(token)
				if !wordsTo(at) || !yield(&Word{text: []byte(token), from: from[at:end], length: utf8.RuneCountInString(token), whole: true}) {
					return
				}
				begin, at = end, end-1
			}
		}
		wordsTo(len(plain))
	}
}

// LongestPrefix is the longest of some tokens that text begins with, or "".
func LongestPrefix(text string, tokens []string) (longest string) {
	for _, token := range tokens {
		if len(token) > len(longest) && strings.HasPrefix(text, token) {
			longest = token
		}
	}
	return longest
}

// NormalizeAll is a text without control characters, and with what becomes of each of the
// others (of white space a space, and Chinese characters have spaces around them); and the
// character of the text that each byte came from.
func (rules Rules) NormalizeAll(text string) (plain string, from []Span) {
	var all []byte
	var normalized []rune
	for at, r := range text {
		if r == utf8.RuneError || isControl(r) {
			continue
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
		if normalized = rules.normalized(normalized[:0], r); rules.SplitChinese && isChinese(r) {
			normalized = append(slices.Insert(normalized, 0, ' '), ' ')
		}
		for _, n := range normalized {
			all = utf8.AppendRune(all, n)
		}
		for len(from) < len(all) {
			from = append(from, Span{at, at + utf8.RuneLen(r)})
		}
	}
	return string(all), from
}
