package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Each token knows the bytes that it came from: of a word that is unknown, all;
// of a character that was decomposed, the whole; and none of what was dropped
// before it.
func TestSpans(t *testing.T) {
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("e ##e ##x . \u1112 ##\u1161 ##\u11ab")...), true)
	check(t, err)
	for text, want := range map[string]string{
		" E\u0301x, e\u00ade.":   "e=E ##x=x [UNK]=, e=e ##e=e .=.",
		"\u00e9\u00e9[SEP]zzz":   "e=\u00e9 ##e=\u00e9 [SEP]=[SEP] [UNK]=zzz",
		"\ud55c":                 "\u1112=\ud55c ##\u1161=\ud55c ##\u11ab=\ud55c",
		"\u200dex\u0301\u0301":   "e=e ##x=x",
		strings.Repeat("e", 101): "[UNK]=" + strings.Repeat("e", 101),
		"\xff\x00":               "",
	} {
		ids, spans := tokenizer.EncodeSpans(text)
		got := []string{}
		for i, token := range tokenizer.Tokens(ids) {
			got = append(got, token+"="+text[spans[i].Begin:spans[i].End])
		}
		equal(t, strings.Join(got, " "), want)
		equal(t, slices.Equal(tokenizer.Encode(text), ids), true)
	}
}

// A word of more than 100 characters is unknown, and so is one that the pieces
// cannot spell to its end.
func TestUnknownWords(t *testing.T) {
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], "a", "##a", "##b"), true)
	check(t, err)
	tokens := func(text string) string { return strings.Join(tokenizer.Tokens(tokenizer.Encode(text)), " ") }
	equal(t, tokens(strings.Repeat("a", 100)), "a"+strings.Repeat(" ##a", 99))
	equal(t, tokens(strings.Repeat("a", 101)), "[UNK]")
	equal(t, tokens("abc ab ba"), "[UNK] a ##b [UNK]")
	equal(t, tokens("a[SEP]a [mask] [MASK"), "a [SEP] a [UNK] [UNK] [UNK] [UNK] [UNK]")
}

// A vocabulary without a special token, or with nothing else, is refused, with the reason.
func TestBadVocabularies(t *testing.T) {
	for text, want := range map[string]string{
		"[PAD] [UNK] [CLS] [SEP] a":      "[MASK] is missing, want all of [PAD] [UNK] [CLS] [SEP] [MASK]",
		"[PAD] [UNK] [CLS] [SEP] [MASK]": "there is no token but the special ones",
	} {
		if _, err := NewTokenizer(strings.Fields(text), true); err == nil || err.Error() != want {
			t.Errorf("%s: the error is %v, want %s", text, err, want)
		}
	}
}

// goldenTokens reads a file of texts and of what Hugging Face's tokenizer
// (BertWordPieceTokenizer of the Python package tokenizers 0.23) makes of them:
// in the first line the vocabulary, in each other one a text, its ids by each set
// of rules (where they are not those of the uncased one), and the bytes that each
// uncased token came from.
func goldenTokens(t *testing.T, name string) (vocabulary []string, lines []map[string]json.RawMessage) {
	t.Helper()
	f, err := os.Open(name)
	check(t, err)
	defer f.Close()
	var first struct{ Vocabulary string }
	d := json.NewDecoder(f)
	check(t, d.Decode(&first))
	for d.More() {
		var line map[string]json.RawMessage
		check(t, d.Decode(&line))
		lines = append(lines, line)
	}
	return strings.Split(first.Vocabulary, " "), lines
}

// In a hundred scripts, and for whatever else is strange in Unicode, the tokens are
// those of Hugging Face, by all five sets of rules, and so are the bytes that they
// came from.
func TestHuggingFaceTokens(t *testing.T) {
	vocabulary, lines := goldenTokens(t, "testdata/tokens.jsonl")
	scripts := map[string]bool{}
	for _, line := range lines {
		for name, script := range unicode.Scripts {
			if strings.ContainsFunc(string(line["text"]), func(r rune) bool { return unicode.Is(script, r) }) {
				scripts[name] = true
			}
		}
	}
	if len(lines) < 200 || len(scripts) < 100 {
		t.Fatalf("there are %d lines in %d scripts", len(lines), len(scripts))
	}
	for name, rules := range map[string]Rules{
		"uncased":  {true, true, true},
		"cased":    {false, false, true},
		"accents":  {true, false, true},
		"capitals": {false, true, true},
		"chinese":  {true, true, false},
	} {
		tokenizer, err := NewTokenizer(vocabulary, true)
		check(t, err)
		tokenizer.Rules = rules
		for _, line := range lines {
			var text string
			var want []int32
			var bytes []int
			check(t, json.Unmarshal(line["text"], &text))
			ids := line[name]
			if ids == nil {
				ids = line["uncased"]
			}
			check(t, json.Unmarshal(ids, &want))
			check(t, json.Unmarshal(line["spans"], &bytes))
			got, spans := tokenizer.EncodeSpans(text)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %.200q:\ngot  %q\nwant %q", name, text, tokenizer.Tokens(got), tokenizer.Tokens(want))
				continue
			}
			for i, span := range spans {
				if name == "uncased" && (span.Begin != bytes[2*i] || span.End != bytes[2*i+1]) {
					t.Errorf("%.200q: token %d, %s, came from %v, want %v", text, i, tokenizer.Vocabulary[got[i]], span, bytes[2*i:2*i+2])
				}
			}
			if quick := tokenizer.Encode(text); !slices.Equal(quick, want) {
				t.Errorf("%s, %.200q: Encode gives %q, EncodeSpans %q", name, text, tokenizer.Tokens(quick), tokenizer.Tokens(want))
			}
		}
	}
}

// Every character of Unicode, between two letters, becomes the words that it
// becomes in Hugging Face's tokenizer, by four sets of rules. For each 4096
// characters there is a sum of what it gives (tokenizers 0.23) in a file.
func TestEveryCharacter(t *testing.T) {
	data, err := os.ReadFile("testdata/characters.txt")
	check(t, err)
	sums := strings.Fields(string(data))
	equal(t, 4096*len(sums), int(unicode.MaxRune)+1)
	for row, want := range sums {
		var text, got strings.Builder
		for r := rune(4096 * row); r < rune(4096*(row+1)); r++ {
			if utf8.ValidRune(r) {
				text.WriteString("x" + string(r) + "y ")
			}
		}
		for _, rules := range []Rules{{true, true, true}, {false, false, true}, {true, false, true}, {false, true, true}} {
			separator := ""
			for word := range rules.SplitWords(text.String(), maxWordLength) {
				got.WriteString(separator + string(word.text))
				separator = "|"
			}
			got.WriteString("\n")
		}
		if sum(got.String()) != want {
			t.Errorf("the characters from U+%04X on are not what they are in Hugging Face's tokenizer", 4096*row)
		}
	}
}

// The table of characters agrees with Go's, which was made from a later Unicode:
// what is a mark, punctuation or a format character here is so there, but for the
// few that have changed since, and the oldest are there if they are here.
func TestUnicodeTable(t *testing.T) {
	changed := 0
	for _, c := range []struct {
		ours, gos *unicode.RangeTable
		least     int
	}{
		{nonspacingMarks, unicode.Mn, 1500}, {punctuation, unicode.P, 700}, {formatCharacters, unicode.Cf, 150},
	} {
		here := 0
		for r := rune(0); r <= unicode.MaxRune; r++ {
			switch ours, gos := unicode.Is(c.ours, r), unicode.Is(c.gos, r); {
			case ours && gos:
				here++
			case ours:
				changed++
			case gos && r < 0x0600:
				t.Errorf("%U is missing", r)
			}
		}
		if here < c.least {
			t.Errorf("a table has %d characters, want %d or more", here, c.least)
		}
	}
	if changed > 10 { // in Unicode 15 they are U+166D, U+1734 and U+111C9
		t.Errorf("%d characters are not what they are in Go's tables", changed)
	}
	for r, base := range bases() {
		if unicode.Is(nonspacingMarks, r) || len(base) == 0 || base[0] == r {
			t.Errorf("%U becomes %U", r, base)
		}
	}
}

// The cases that other tokenizers are tested with: Google's tokenization_test.py,
// Hugging Face's test_tokenization_bert.py, and tensorflow/text's
// fast_wordpiece_tokenizer_test.cc (whose words are not split at punctuation).
func TestPublishedWords(t *testing.T) {
	for _, c := range []struct {
		rules      Rules
		text, want string
	}{
		{Rules{true, true, true}, "ah\u535A\u63A8zz", "ah|\u535A|\u63A8|zz"},
		{Rules{true, true, true}, " \tHeLLo!how  \n Are yoU?  ", "hello|!|how|are|you|?"},
		{Rules{true, true, true}, "H\u00E9llo", "hello"},
		{Rules{true, false, true}, " \tH\u00e4LLo!how  \n Are yoU?  ", "h\u00e4llo|!|how|are|you|?"},
		{Rules{true, false, true}, "H\u00E9llo", "h\u00e9llo"},
		{Rules{false, false, true}, " \tHeLLo!how  \n Are yoU?  ", "HeLLo|!|how|Are|yoU|?"},
		{Rules{false, false, true}, " \tH\u00e4LLo!how  \n Are yoU?  ", "H\u00e4LLo|!|how|Are|yoU|?"},
		{Rules{false, true, true}, " \tH\u00e4LLo!how  \n Are yoU?  ", "HaLLo|!|how|Are|yoU|?"},
		{Rules{true, true, true}, "a\n'll !!to?'d of, can't.", "a|'|ll|!|!|to|?|'|d|of|,|can|'|t|."},
		{Rules{true, true, true}, "\u7684\u4eba\u6709", "\u7684|\u4eba|\u6709"},
		{Rules{true, true, false}, "\u7684\u4eba\u6709", "\u7684\u4eba\u6709"},
		{Rules{true, true, true}, "\u00ad", ""},
	} {
		var words []string
		for word := range c.rules.SplitWords(c.text, maxWordLength) {
			words = append(words, string(word.text))
		}
		equal(t, strings.Join(words, "|"), c.want)
	}
	for _, r := range " \t\r\n\u00a0" {
		equal(t, isControl(r), false)
	}
	for _, r := range "A-" {
		equal(t, isControl(r) || unicode.IsSpace(r), false)
	}
	equal(t, isControl('\u0005'), true)
	equal(t, isPunctuation('-') && isPunctuation('$') && isPunctuation('`') && isPunctuation('.'), true)
	equal(t, isPunctuation('A') || isPunctuation(' '), false)
}

// A word becomes the pieces that it becomes in the same tests.
func TestPublishedPieces(t *testing.T) {
	const want = "want ##want ##ed wa un runn ##ing"
	const de = "a abc abcdefghi ##de ##defgxy ##deh ##f ##ghz"
	digits := strings.Repeat("0123456789", 9)
	tens := "0123456789" + strings.Repeat(" ##0123456789", 8)
	for _, c := range []struct{ vocabulary, word, want string }{
		{want, "unwanted", "un ##want ##ed"},
		{want, "running", "runn ##ing"},
		{want, "unwantedX", "[UNK]"},
		{de, "abcdefghz", "abc ##de ##f ##ghz"},
		{de, "abcdef", "abc ##de ##f"},
		{de, "X", "[UNK]"},
		{de, "Xde", "[UNK]"},
		{de, "abcXde", "[UNK]"},
		{de, "abcX", "[UNK]"},
		{de, "##deh", "##deh"},
		{de + " # ###", "##deh", "##deh"},
		{de, "##", "[UNK]"},
		{de, "#", "[UNK]"},
		{de + " # ###", "#", "#"},
		{de + " # ### ##", "#", "#"},
		{de + " #", "##", "[UNK]"},
		{de + " # ###", "##", "# ###"},
		{de + " # ### ##", "##", "##"},
		{de + " #", "###", "[UNK]"},
		{de + " # ###", "###", "###"},
		{de + " # ### ##", "###", "###"},
		{de + " # ###", "####", "### ###"},
		{de + " # ### ##", "####", "### ###"},
		{de + " ##", "abcdefghz", "abc ##de ##f ##ghz"},
		{de + " ## xy ##z", "xyz", "xy ##z"},
		{"a abc abcdefghi", "abc", "abc"},
		{"a abc de abcdefghi", "abcde", "[UNK]"},
		{"a abc de abcdefghi", "abcdz", "[UNK]"},
		{"a abc de ###", "###", "###"},
		{"##a ##abc", "abc", "[UNK]"},
		{"##a ##abc", "##abc", "##abc"},
		{"0123456789 ##0123456789 ##012345678", digits + "012345678", tens + " ##012345678"},
		{"0123456789 ##0123456789 ##01234567 ##\u05c3", digits + "01234567\u05c3", tens + " ##01234567 ##\u05c3"},
	} {
		tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields(c.vocabulary)...), true)
		check(t, err)
		w := &Word{limit: maxWordLength}
		for i, r := range c.word {
			w.add(r, Span{i, i + utf8.RuneLen(r)})
		}
		ids, spans := tokenizer.appendPieces(nil, nil, w, 0)
		equal(t, strings.Join(tokenizer.Tokens(ids), " "), c.want)
		at := 0
		for i, token := range tokenizer.Tokens(ids) { // the spans follow one another and are as long as the pieces
			equal(t, spans[i].Begin, at)
			at = spans[i].End
			if piece := strings.TrimPrefix(token, continuing); token != unkToken && !strings.HasSuffix(c.word[:at], piece) {
				t.Errorf("%s: %s ends at %d", c.word, token, at)
			}
		}
		equal(t, at, len(c.word))
	}
}

// tokenize writes tokens, ids or the bytes of the line behind each token, and a
// line may be as long as it likes: it comes in parts, but the tokens are the same.
func TestTokenizeCommand(t *testing.T) {
	name := filepath.Join(t.TempDir(), "vocab.txt")
	check(t, os.WriteFile(name, []byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nplay\n##ing\n.\r\ne\n"), 0o666))
	tokenize := func(text string, flags ...string) string {
		status, stdout, stderr := runHere(text, append([]string{"tokenize", "-vocab", name}, flags...)...)
		equal(t, status, exitDone)
		equal(t, stderr, "")
		return stdout
	}
	equal(t, tokenize("Playing \u00e9.\n\n[MASK]x"), "play ##ing e .\n\n[MASK] [UNK]\n")
	equal(t, tokenize("Playing \u00e9.\r\n", "-ids"), "5 6 8 7\n")
	equal(t, tokenize("Playing \u00e9.\n [MASK]x", "-offsets"), "play:0-4 ##ing:4-7 e:8-10 .:10-11\n[MASK]:1-7 [UNK]:7-8\n")
	equal(t, tokenize("Playing", "-ids", "-offsets"), "5:0-4 6:4-7\n")
	equal(t, tokenize(""), "")
	long := strings.Repeat("playing playplay. ", 20000)
	equal(t, tokenize(long+"\n"+long), strings.Repeat(strings.TrimSpace(strings.Repeat("play ##ing [UNK] . ", 20000))+"\n", 2))
	offsets := strings.Fields(tokenize(long, "-offsets"))
	equal(t, offsets[len(offsets)-1], fmt.Sprintf(".:%d-%d", len(long)-2, len(long)-1))
	equal(t, tokenize(strings.Repeat("x", 1<<20)+" play"), "[UNK] play\n")
}

// Whatever the text, encoding takes time and memory by its length: a word of ten
// million letters, ten million marks, bytes that are no UTF-8, and zeros.
func TestHostileText(t *testing.T) {
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], "a", "##a", "[", "\u4e2d"), true)
	check(t, err)
	const n = 1 << 20
	for text, tokens := range map[string]int{
		strings.Repeat("a", 10*n):                          1,
		strings.Repeat("\u0301", n):                        0,
		"a" + strings.Repeat("\u0301", n):                  1,
		strings.Repeat("\xff", n):                          0,
		strings.Repeat("\x00", n):                          0,
		strings.Repeat("[", n):                             n,
		strings.Repeat("\u4e2d", n):                        n,
		strings.Repeat("a\u00a0", n):                       n,
		strings.Repeat("\xe4\xb8", n) + "\u4e2d":           1,
		strings.Repeat("[MASK", n/8):                       2 * n / 8,
		strings.Repeat(" "+strings.Repeat("a", 100), 1000): 100 * 1000,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ids := tokenizer.Encode(text)
		runtime.ReadMemStats(&after)
		equal(t, len(ids), tokens)
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(2*len(text)+200*tokens+8<<20) {
			t.Errorf("%.20q: %d bytes for %d bytes of text and %d tokens", text, used, len(text), tokens)
		}
	}
}

// Whatever the text, and by whatever rules, ids are of the vocabulary; spans lie in
// the text, are not empty, end where a character ends, and rise; Encode gives what
// EncodeSpans gives; a text in two parts with a space between gives the tokens of
// both; and plain words come back as they were.
func FuzzEncode(f *testing.F) {
	vocabulary := append(specialTokens[:5:5], strings.Fields("a b c ##a ##b ##c ab ##bc . ! \u4e2d \u1112 ##\u1161 [ ] e \u00e9 mask A ##i")...)
	f.Add("abc cab. [MASK]\u4e2d", uint8(7))
	f.Add("[[[SEP]\xff\u0301", uint8(0))
	f.Add("\u00e9\ud55c\u0130 [MA\u00adSK][PAD]", uint8(5))
	var tokenizers [8]*Tokenizer // one for each set of rules
	for bits := range tokenizers {
		var err error
		tokenizers[bits], err = NewTokenizer(vocabulary, true)
		check(f, err)
		tokenizers[bits].Rules = Rules{bits&1 > 0, bits&2 > 0, bits&4 > 0}
	}
	f.Fuzz(func(t *testing.T, text string, bits uint8) {
		tokenizer := tokenizers[bits%8]
		ids, spans := tokenizer.EncodeSpans(text)
		equal(t, len(spans), len(ids))
		last := Span{}
		for i, s := range spans {
			if ids[i] < 0 || int(ids[i]) >= len(vocabulary) {
				t.Fatalf("id %d", ids[i])
			}
			if s.Begin < last.Begin || s.End < last.End || s.Begin >= s.End || s.End > len(text) || s.Begin < last.End && s != last {
				t.Fatalf("span %v after %v in %d bytes", s, last, len(text))
			}
			if !utf8.RuneStart(text[s.Begin]) || s.End < len(text) && utf8.ValidString(text) && !utf8.RuneStart(text[s.End]) {
				t.Fatalf("span %v cuts a character", s)
			}
			last = s
		}
		for range 2 { // the second time the words are known
			if got := tokenizer.Encode(text); !slices.Equal(got, ids) {
				t.Fatalf("Encode gives %v, EncodeSpans %v", got, ids)
			}
		}
		equal(t, len(tokenizer.Encode(text+" "+text)), 2*len(ids))
		plain := strings.Map(func(r rune) rune {
			if strings.ContainsRune("abc ", r) {
				return r
			}
			return -1
		}, text)
		for _, word := range strings.Fields(plain) {
			if len(word) <= maxWordLength {
				equal(t, tokenizer.Text(tokenizer.Encode(word)), word)
			}
		}
	})
}
