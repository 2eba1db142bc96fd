package main

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// On Newton's Opticks the vocabularies are those of Hugging Face's trainer, word
// for word and in the same order, if it is given the letters in the order that is
// ours (its own changes from run to run); and so are the ids of the whole book.
// The sums are of what tokenizers 0.23 gives.
func TestOpticks(t *testing.T) {
	book := opticks(t)
	counts := CountWords(mustReadText(t, strings.NewReader(book)).lines(), true)
	for _, c := range []struct {
		settings          VocabularySettings
		words, tokens     int
		wordsSum, idsSums string
	}{
		{DefaultVocabularySettings(1000), 1000, 159282, "908fc1ae6042b153", "933c41356e9b8ebd"},
		{DefaultVocabularySettings(4000), 4000, 125216, "9b7cd07d61b0c7f7", "2a1af2ee5afcb763"},
		{DefaultVocabularySettings(16000), 4919, 123367, "9d97590d228a6644", "2d454abbaaacb015"}, // no more pairs occur twice
		{VocabularySettings{Size: 16000, Alphabet: 1000}, 7127, 121162, "82dab4ceba5feefa", "b4aa9358f4741060"},
	} {
		words, err := c.settings.Train(counts)
		check(t, err)
		equal(t, len(words), c.words)
		equal(t, sum(strings.Join(words, "\n")+"\n"), c.wordsSum)
		tokenizer, err := NewTokenizer(words, true)
		check(t, err)
		plain, _ := tokenizer.EncodeSpans(book)
		for _, ids := range [][]int32{plain, tokenizer.Encode(book)} {
			equal(t, len(ids), c.tokens)
			equal(t, sum(strings.Trim(fmt.Sprint(ids), "[]")), c.idsSums)
		}
	}
}

// opticks is the text of Newton's Opticks.
func opticks(t testing.TB) string {
	t.Helper()
	f, err := os.Open("testdata/opticks.txt.gz")
	check(t, err)
	defer f.Close()
	r, err := gzip.NewReader(f)
	check(t, err)
	data, err := io.ReadAll(r)
	check(t, err)
	return string(data)
}

// sum is the beginning of the SHA-256 of text.
func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16] }

// Training stops at the size asked for, gives the same vocabulary each time, and
// says what is wrong with too small a size or no words.
func TestTrainVocabulary(t *testing.T) {
	counts := map[string]int{"low": 5, "lower": 2, "newest": 6, "widest": 3, "once": 1}
	first, err := TrainVocabulary(counts, 40)
	check(t, err)
	for range 10 {
		again, err := TrainVocabulary(counts, 40)
		check(t, err)
		equal(t, again, first)
	}
	equal(t, strings.Join(first[len(first)-9:], " "), "low ne ##west newest wi ##dest widest ##er lower")
	short, err := TrainVocabulary(counts, 30)
	check(t, err)
	equal(t, short, first[:30])
	if _, err := TrainVocabulary(counts, 10); err == nil {
		t.Error("a vocabulary of 10 words has room for all letters")
	}
	if _, err := TrainVocabulary(nil, 10); err == nil {
		t.Error("a vocabulary was learnt from nothing")
	}
}

// The two scores join differently. By count, ##u and ##g come first, which stand
// side by side most often (20 times); by likelihood ##g and ##s, because s stands
// nowhere else: 5/(20·5) is more than 20/(36·20). Then b, h and p with ##u all have
// 1/36, so the smaller id decides; and bu ##n has 4/(4·16).
func TestScores(t *testing.T) {
	counts := map[string]int{"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
	s := DefaultVocabularySettings(19)
	byCount, err := s.Train(counts)
	check(t, err)
	s.Likelihood = true
	byLikelihood, err := s.Train(counts)
	check(t, err)
	letters := "[PAD] [UNK] [CLS] [SEP] [MASK] b g h n p s u ##g ##n ##s ##u "
	equal(t, strings.Join(byCount, " "), letters+"##ug ##un hug")
	equal(t, strings.Join(byLikelihood, " "), letters+"##gs bu bun")
}

// With both scores, the vocabulary is what is learnt by counting everything anew
// for each pair that is joined.
func TestTrainingIsPlain(t *testing.T) {
	text, err := readText(strings.NewReader(string(corpusText[:20000])))
	check(t, err)
	counts := CountWords(text.lines(), true)
	for _, likelihood := range []bool{false, true} {
		s := VocabularySettings{Size: 300, MinFrequency: 3, Alphabet: 20, Likelihood: likelihood}
		got, err := s.Train(counts)
		check(t, err)
		equal(t, got, trainPlainly(s, counts))
	}
}

// trainPlainly is Train as it would be if time did not matter.
func trainPlainly(s VocabularySettings, counts map[string]int) []string {
	v := &vocabularyTrainer{VocabularySettings: s, ids: map[string]int32{}, pairs: map[[2]int32]*piecePair{}}
	for _, token := range specialTokens {
		v.id(token)
	}
	v.spell(counts) // the letters, and each word in letters
	for len(v.pieces) < s.Size {
		pairs, frequency := map[[2]int32]int{}, map[int32]int{}
		for w, word := range v.words {
			for i, id := range word {
				frequency[id] += v.times[w]
				if i > 0 {
					pairs[[2]int32{word[i-1], id}] += v.times[w]
				}
			}
		}
		var best [2]int32
		bestScore := 0.0
		for pair, n := range pairs {
			score := float64(n)
			if s.Likelihood {
				score /= float64(frequency[pair[0]]) * float64(frequency[pair[1]])
			}
			before := pair[0] < best[0] || pair[0] == best[0] && pair[1] < best[1]
			if n >= s.MinFrequency && (score > bestScore || score == bestScore && before) {
				best, bestScore = pair, score
			}
		}
		if bestScore == 0 {
			break
		}
		joined := v.id(v.pieces[best[0]] + strings.TrimPrefix(v.pieces[best[1]], continuing))
		for w, word := range v.words {
			var merged []int32
			for i := 0; i < len(word); i++ {
				if i+1 < len(word) && word[i] == best[0] && word[i+1] == best[1] {
					merged = append(merged, joined)
					i++
				} else {
					merged = append(merged, word[i])
				}
			}
			v.words[w] = merged
		}
	}
	return v.pieces
}

// Words are counted alike whatever they stand between, and however many share the
// work; what stands for a special token in a text is no token when it is counted.
func TestCountWords(t *testing.T) {
	text := &plainText{Documents: [][]string{{"The cat, the c\u00e1t; THE-cat!", "ab\u4e2dcd [MASK] a\u00adb"}, {"the"}}}
	equal(t, CountWords(text.lines(), true), map[string]int{"the": 4, "cat": 3, ",": 1, ";": 1, "-": 1, "!": 1,
		"ab": 2, "\u4e2d": 1, "cd": 1, "[": 1, "mask": 1, "]": 1})
}

// A word of three million letters, counted and learnt from, takes no more time or
// memory than its length.
func TestCountLongWords(t *testing.T) {
	text := &plainText{Documents: [][]string{{strings.Repeat("abcdefghij", 3e5), strings.Repeat("z", 1e6)}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	words, err := TrainVocabulary(CountWords(text.lines(), true), 40)
	check(t, err)
	runtime.ReadMemStats(&after)
	equal(t, len(words), 40)
	if used := after.TotalAlloc - before.TotalAlloc; used > 100e6 {
		t.Errorf("it took %d bytes", used)
	}
}

// vocab -score chooses the score, and refuses what is none.
func TestVocabCommand(t *testing.T) {
	dir := t.TempDir()
	made := 0
	vocabulary := func(arguments ...string) string {
		made++
		name := filepath.Join(dir, fmt.Sprint(made))
		status, _, stderr := runHere(strings.Repeat("hug pug hugs. ", 3), append([]string{"vocab", "-corpus", "-", "-out", name}, arguments...)...)
		if status != exitDone {
			t.Fatal(stderr)
		}
		words, err := os.ReadFile(name)
		check(t, err)
		return strings.Join(strings.Fields(string(words))[5:], " ")
	}
	equal(t, vocabulary("-size", "14"), ". g h p s u ##g ##s ##u")
	equal(t, vocabulary("-size", "15", "-score", "likelihood"), ". g h p s u ##g ##s ##u hu")
	equal(t, vocabulary("-size", "15", "-score=count"), ". g h p s u ##g ##s ##u ##ug")
	equal(t, vocabulary("-alphabet", "3", "-min-frequency", "7"), "g h u ##g ##u ##ug")
	status, stdout, _ := runHere(strings.Repeat("hug pug hugs. ", 3), "vocab", "-corpus", "-", "-show", "3")
	equal(t, status, exitDone)
	equal(t, stdout, `
     1  ##u ##g  → ##ug  9 times
     2  h ##ug   → hug   6 times
     3  p ##ug   → pug   3 times
`[1:])
	status, _, stderr := runHere("", "vocab", "-corpus", "-", "-out", filepath.Join(dir, "x"), "-score", "best")
	equal(t, status, exitUsage)
	equal(t, strings.Contains(stderr, `-score is "best", want count or likelihood`), true)
}

// Whatever is counted, training ends, keeps to the size, repeats nothing, and
// every word that has only known letters can be spelled.
func FuzzTrainVocabulary(f *testing.F) {
	f.Add("low low lower newest newest widest", uint8(30), true)
	f.Add("aaaa aaaaa aaaaaaa abababab", uint8(12), false)
	f.Add("##a #a ## aa \u0301\xff", uint8(200), true)
	f.Fuzz(func(t *testing.T, text string, room uint8, likelihood bool) {
		counts := map[string]int{}
		for _, word := range strings.Fields(text) {
			counts[strings.ToValidUTF8(word, "?")] += 2
		}
		s := VocabularySettings{Size: 5 + 2*len(text) + int(room), Alphabet: 1000, Likelihood: likelihood}
		words, err := s.Train(counts)
		if len(counts) == 0 {
			equal(t, err != nil, true)
			return
		}
		check(t, err)
		equal(t, len(words) <= s.Size, true)
		tokenizer, err := NewTokenizer(words, true)
		check(t, err)
		for spelled := range counts {
			w := &Word{limit: maxWordLength}
			for i, r := range spelled {
				w.add(r, Span{i, i + utf8.RuneLen(r)})
			}
			ids, _ := tokenizer.appendPieces(nil, nil, w, 0)
			if w.length <= maxWordLength && slices.Contains(ids, tokenizer.unk) && spelled != unkToken {
				t.Errorf("%q is unknown", spelled)
			}
		}
		equal(t, words, trainPlainly(s, counts))
	})
}

// Newton's Opticks, by the quick way and by the plain one, on one thread.
func BenchmarkTokenize(b *testing.B) {
	text := opticks(b)
	read, err := readText(strings.NewReader(text))
	check(b, err)
	words, err := TrainVocabulary(CountWords(read.lines(), true), 4000)
	check(b, err)
	tokenizer, err := NewTokenizer(words, true)
	check(b, err)
	lines := strings.SplitAfter(text, "\n")
	for name, encode := range map[string]func(line string){
		"quick": func(line string) { tokenizer.Encode(line) },
		"plain": func(line string) { tokenizer.EncodeSpans(line) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for range b.N {
				for _, line := range lines {
					encode(line)
				}
			}
		})
	}
}
