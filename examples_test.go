package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// smallCorpus has three documents: of many sentences, of two, and of one.
func smallCorpus(t testing.TB) (*Corpus, *Tokenizer) {
	t.Helper()
	text := &Text{Documents: [][]string{nil, {"c c c", "d"}, {"e e"}}}
	for i := range 40 {
		text.Documents[0] = append(text.Documents[0], strings.Repeat("a b ", i%5+1))
	}
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("a b c d e")...), true)
	check(t, err)
	corpus, err := NewCorpus(text, tokenizer)
	check(t, err)
	return corpus, tokenizer
}

// Over some epochs every sentence of every document comes up, as A or as B, and a
// document of one sentence is never followed by itself.
func TestEverySentenceComesUp(t *testing.T) {
	corpus, _ := smallCorpus(t)
	seen := map[int]bool{}
	for epoch := range uint64(20) {
		for _, p := range corpus.Pairs(corpus.AllDocuments(), 30, 0.1, 1, epoch) {
			for _, span := range [][2]int{p.a, p.b} {
				if span[0] >= span[1] {
					t.Fatalf("%+v has an empty part", p)
				}
				for s := span[0]; s < span[1]; s++ {
					seen[s] = true
				}
			}
			if last := corpus.sentences.len() - 2; p.a[0] == last && p.isNext {
				t.Errorf("%+v: the only sentence of its document is followed by the next", p)
			}
		}
	}
	equal(t, len(seen), corpus.sentences.len()-1)
}

// The same seed gives the same examples, from the beginning or from the middle of
// an epoch; another seed, or another epoch, gives others.
func TestExamplesAreAFunctionOfTheSeed(t *testing.T) {
	corpus, tokenizer := smallCorpus(t)
	epochs := func(seed uint64) (first, second []Example) {
		s := Stream{Corpus: corpus, Tokenizer: tokenizer, Documents: corpus.AllDocuments(), Seed: seed, MaxTokens: 20, ShortSeqProb: 0.1}
		return s.Epoch(), s.Epoch()
	}
	first, second := epochs(1)
	again, _ := epochs(1)
	other, _ := epochs(2)
	equal(t, again, first)
	for _, examples := range [][]Example{second, other} {
		if slices.EqualFunc(first, examples, func(a, b Example) bool { return slices.Equal(a.Tokens, b.Tokens) }) {
			t.Error("another epoch or seed gives the same examples")
		}
	}
}

// Counted over 100,000 examples: 15% of the tokens are to be guessed, within 0.1, of
// these 80, 10 and 10% are masked, replaced and left, within 0.5; half of the pairs are
// neighbours, within 0.5; [CLS] and [SEP] are never masked; a false B is never from the
// same document; and over the epochs every sentence comes up. With whole words it is
// the same, and hardly a word is masked in part.
func TestHundredThousandExamples(t *testing.T) {
	trainer, tokenizer := demoTrainer(t)
	source := trainer.Source.(*corpusSource)
	corpus := source.Corpus
	documentOf := make([]int, corpus.sentences.len()-1)
	for d := range len(corpus.documents) - 1 {
		for s := corpus.documents[d]; s < corpus.documents[d+1]; s++ {
			documentOf[s] = d
		}
	}
	for _, whole := range []bool{false, true} {
		source.WholeWords, source.MaxTokens, source.ShortSeqProb = whole, 128, 0.1
		source.Documents = corpus.AllDocuments()
		seen := make([]bool, corpus.sentences.len()-1)
		var n, next, tokens, guessed, masked, replaced, parts int
		for epoch := uint64(1); n < 100_000; epoch++ {
			source.load(epoch)
			examples := make([]Example, len(source.pairs))
			source.fill(examples, 0)
			for i, e := range examples {
				p := source.pairs[i]
				for s := p.a[0]; s < p.a[1]; s++ {
					seen[s] = true
				}
				for s := p.b[0]; s < p.b[1]; s++ {
					seen[s] = true
				}
				n++
				tokens += len(e.Tokens)
				guessed += len(e.Positions)
				if e.NextLabel == 0 {
					next++
				} else if documentOf[p.a[0]] == documentOf[p.b[0]] {
					t.Fatalf("the false B of %+v is from the same document", p)
				}
				whole := slices.Clone(e.Tokens) // the text again
				hidden := make([]bool, len(whole))
				for k, at := range e.Positions {
					if e.Labels[k] == tokenizer.cls || e.Labels[k] == tokenizer.sep {
						t.Fatalf("%s is to be guessed", tokenizer.Words[e.Labels[k]])
					}
					switch e.Tokens[at] {
					case tokenizer.mask:
						masked++
					case e.Labels[k]:
					default:
						replaced++
					}
					whole[at], hidden[at] = e.Labels[k], true
				}
				for at := 1; at < len(whole); at++ {
					if strings.HasPrefix(tokenizer.Words[whole[at]], continuing) && hidden[at] != hidden[at-1] && whole[at-1] != tokenizer.cls && whole[at-1] != tokenizer.sep {
						parts++
					}
				}
			}
		}
		for _, c := range []struct {
			what         string
			n, of        int
			want, within float64
		}{
			{"to be guessed", guessed, tokens, 0.15, 0.001},
			{"masked", masked, guessed, 0.8, 0.005},
			{"replaced", replaced, guessed, 0.1, 0.005},
			{"left", guessed - masked - replaced, guessed, 0.1, 0.005},
			{"true pairs", next, n, 0.5, 0.005},
		} {
			share := float64(c.n) / float64(c.of)
			t.Logf("whole words %v: %s %.3f%%", whole, c.what, 100*share)
			if math.Abs(share-c.want) > c.within {
				t.Errorf("whole words %v: %s: %d of %d, %.4f, want %v ± %v", whole, c.what, c.n, c.of, share, c.want, c.within)
			}
		}
		if i := slices.Index(seen, false); i >= 0 {
			t.Errorf("sentence %d of %d never comes up", i, len(seen))
		}
		if whole && parts > n/1000 || !whole && parts == 0 {
			t.Errorf("whole words %v: %d words are masked in part", whole, parts)
		}
	}
}

// Every token of a corpus comes up over the epochs, also where a sentence is longer
// than there is room.
func TestEveryTokenComesUp(t *testing.T) {
	words := specialTokens[:5:5]
	text := &Text{}
	for d := range 6 {
		var document []string
		for s := range 4 {
			var sentence []string
			for range 3 + 37*d + 5*s {
				sentence = append(sentence, fmt.Sprint("w", len(words)))
				words = append(words, sentence[len(sentence)-1])
			}
			document = append(document, strings.Join(sentence, " "))
		}
		text.Documents = append(text.Documents, document)
	}
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	corpus, err := NewCorpus(text, tokenizer)
	check(t, err)
	s := Stream{Corpus: corpus, Tokenizer: tokenizer, Documents: corpus.AllDocuments(), Seed: 1, MaxTokens: 128, ShortSeqProb: 0.1}
	seen := map[int32]bool{}
	for range 400 {
		for _, e := range s.Epoch() {
			for i, at := range e.Positions {
				e.Tokens[at] = e.Labels[i]
			}
			for _, id := range e.Tokens {
				seen[id] = true
			}
		}
	}
	equal(t, len(seen), len(words)-3) // all but [PAD], [UNK] and [MASK]
}

// What is too long is taken from the longer sentence, at both ends.
func TestTruncatePair(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	long, short := []int32{1, 2, 3, 4, 5, 6, 7, 8}, []int32{9, 10, 11}
	front, back := false, false
	for range 50 {
		a, b := truncatePair(long, short, 6, func() bool { return r.IntN(2) == 0 })
		if len(a) != 3 || !slices.Equal(b, short) {
			t.Fatalf("got %v and %v", a, b)
		}
		front, back = front || a[0] > 1, back || a[2] < 8
	}
	if !front || !back {
		t.Error("tokens are taken from one end only")
	}
	a, b := truncatePair(long, short, 6, func() bool { return false })
	equal(t, a, []int32{1, 2, 3})
	equal(t, b, short)
}

// Examples written are read back as they were; a file that cannot be right is
// refused, with the example and what is wrong.
func TestReadExamples(t *testing.T) {
	corpus, tokenizer := smallCorpus(t)
	s := Stream{Corpus: corpus, Tokenizer: tokenizer, Documents: corpus.AllDocuments(), Seed: 1, MaxTokens: 20}
	examples := s.Epoch()
	var file bytes.Buffer
	check(t, WriteExamples(&file, examples, tokenizer))
	got, err := ReadExamples(&file, len(tokenizer.Words))
	check(t, err)
	for i := range got {
		equal(t, got[i].Words, tokenizer.Tokens(got[i].Tokens))
		got[i].Words = nil
	}
	equal(t, got, examples)

	good := `{"input_ids":[2,5,3,4,3],"token_type_ids":[0,0,0,1,1],"masked_lm_positions":[3],"masked_lm_ids":[6],"next_sentence_label":1}`
	for change, want := range map[[2]string]string{
		{`[2,5,`, `[2,10,`}:              "input_ids has 10, want 0 to 9",
		{`[2,5,`, `[2,-1,`}:              "input_ids has -1",
		{`[0,0,0,1,1]`, `[0,0,0,1]`}:     "token_type_ids has 4 numbers, want 5",
		{`[0,0,0,1,1]`, `[0,0,0,1,2]`}:   "token_type_ids has 2, want 0 or 1",
		{`:[3]`, `:[5]`}:                 "masked_lm_positions has 5",
		{`:[3]`, `:[3,3]`}:               "masked_lm_positions has 3, want rising",
		{`:[3]`, `:[]`}:                  "masked_lm_positions has 0 numbers and masked_lm_ids 1",
		{`:[6]`, `:[99]`}:                "masked_lm_ids has 99",
		{`:1}`, `:2}`}:                   "next_sentence_label is 2",
		{`"input_ids":[2,5,3,4,3],`, ``}: "input_ids is empty",
		{`[2,5,3,4,3]`, `"x"`}:           "cannot unmarshal",
		{good, ``}:                       "there is no example in it",
	} {
		if _, err := ReadExamples(strings.NewReader(strings.Replace(good, change[0], change[1], 1)), 10); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: the error is %v, want %s", change, err, want)
		}
	}
}

// No file of examples makes the program go wrong: what is accepted can be
// trained on.
func FuzzExamples(f *testing.F) {
	f.Add([]byte(`{"input_ids":[2,5,3,4,3],"token_type_ids":[0,0,0,1,1],"masked_lm_positions":[3],"masked_lm_ids":[6],"next_sentence_label":1}`))
	m := smallModel(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		examples, err := ReadExamples(bytes.NewReader(data), m.Config.VocabSize)
		if err != nil {
			return
		}
		for _, e := range examples {
			if len(e.Tokens) <= m.Config.MaxPositionEmbeddings {
				Evaluate(m, []Example{e})
			}
		}
	})
}
