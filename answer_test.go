package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// questionTokenizer has a vocabulary made of our questions.
func questionTokenizer(t testing.TB) *Tokenizer {
	t.Helper()
	data, err := os.ReadFile("testdata/questions.json")
	check(t, err)
	text, err := readText(strings.NewReader(string(data)))
	check(t, err)
	words, err := TrainVocabulary(CountWords(text.lines(), true), 300)
	check(t, err)
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	return tokenizer
}

func readQuestions(t testing.TB, tokenizer *Tokenizer) []Question {
	t.Helper()
	return questionsIn(t, "testdata/questions.json", tokenizer)
}

func questionsIn(t testing.TB, name string, tokenizer *Tokenizer) []Question {
	t.Helper()
	data, err := os.ReadFile(name)
	check(t, err)
	questions, err := ReadSQuAD(bytes.NewReader(data), tokenizer)
	check(t, err)
	return questions
}

// A long passage is cut into windows that overlap: every token is in one, and
// belongs to just one, that in which it has most around it; the window that has
// the answer says where, and the others say that they have not.
func TestWindows(t *testing.T) {
	tokenizer := questionTokenizer(t)
	most := 0
	for _, q := range readQuestions(t, tokenizer) {
		for _, l := range []Limits{{64, 20, 30}, {40, 0, 30}, {30, 29, 5}, {500, 100, 30}, {5, 1, 1}} {
			windows, n := slices.Collect(q.windows(tokenizer, l)), len(q.Passage.ids)
			most = max(most, len(windows))
			owned, found := 0, 0
			for _, w := range windows {
				if len(w.Tokens) > l.MaxSeq || !slices.Equal(w.Tokens[w.first:len(w.Tokens)-1], q.Passage.ids[w.part.Begin:w.part.End]) {
					t.Fatalf("the window %+v is not its part of the passage", w)
				}
				if w.own.Begin != owned || w.own.End > w.part.End || w.own.Begin < w.part.Begin {
					t.Fatalf("%d tokens have a window, and the next is of %+v", owned, w.own)
				}
				owned = w.own.End
				if w.Labels[0] > 0 {
					found++
					equal(t, w.Tokens[w.Labels[0]:w.Labels[1]+1], q.Passage.ids[q.answer.Begin:q.answer.End])
				}
			}
			equal(t, owned, n)
			if len(q.Answers) == 0 && found > 0 || len(q.Answers) > 0 && l.Overlap > 10 && found == 0 && l.MaxSeq > 60 {
				t.Errorf("%s: %d windows have the answer", q.ID, found)
			}
			for i := range n { // who owns a token has most around it
				margin := func(w window) int { return min(i-w.part.Begin, w.part.End-1-i) }
				for _, own := range windows {
					if own.own.Begin <= i && i < own.own.End {
						for _, other := range windows {
							inner := own.part.Begin > 0 && own.part.End < n && other.part.Begin > 0 && other.part.End < n
							if inner && margin(other) > margin(own) {
								t.Fatalf("token %d has %d around it in its own window, %d in another", i, margin(own), margin(other))
							}
						}
					}
				}
			}
		}
	}
	if most < 5 {
		t.Errorf("no passage has more than %d windows", most)
	}
}

// A small file in SQuAD's format, with a long passage and with questions that have
// no answer, is learnt; every answer is a part of the passage's own text, capitals,
// accents and all, at the characters that it names.
func TestAnswersAreLearnt(t *testing.T) {
	tokenizer := questionTokenizer(t)
	questions := readQuestions(t, tokenizer)[:20] // 4 of them about the long passage
	c := asAnswerer(smallModel(t).Config)
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.MaxPositionEmbeddings = len(tokenizer.Vocabulary), 24, 1, 64
	m, err := NewModel(c, 1)
	check(t, err)
	l := Limits{MaxSeq: 64, Overlap: 20, MaxAnswer: 12}
	tuner := &Tuner{Model: m, Cases: AnswerCases(tokenizer, questions, l), Settings: TuneSettings(), Epochs: 30}
	tuner.Settings.LearningRate = 4e-3
	check(t, tuner.Train(t.Context()))
	if s := m.AnswerScore(tokenizer, questions, l); s.ExactMatch < 95 || s.Count != len(questions) {
		t.Errorf("learnt to %+v, want an exact match of 95%%", s)
	}
	seen := map[string]bool{}
	for i := range questions {
		q := &questions[i]
		a := m.Answer(tokenizer, q, l, 0)
		seen[a.Text] = true
		if runes := []rune(q.Passage.Text); string(runes[a.Start:a.End]) != a.Text {
			t.Errorf("%s: %q is not what stands at %d to %d", q.ID, a.Text, a.Start, a.End)
		}
		if !(a.Score > 0 && a.Score <= 1) || a.Text == "" && a.Score != a.NoAnswer {
			t.Errorf("%s: the answer is %+v", q.ID, a)
		}
	}
	for _, want := range []string{"", "Mr Müller", "€3", "October"} {
		if !seen[want] {
			t.Errorf("%q is nowhere the answer", want)
		}
	}
	never := m.Answer(tokenizer, &questions[0], l, -1e9)
	if never.Text != "" || never.Start != 0 || never.End != 0 {
		t.Errorf("whatever is asked there should be no answer, but it is %+v", never)
	}
}

// Questions about two sentences are answered after a short training: who does what, and where.
// A tenth is held out.
func TestAskedIsLearnt(t *testing.T) {
	data, err := os.ReadFile("testdata/asked.json")
	check(t, err)
	words, err := TrainVocabulary(CountWords([]string{string(data)}, true), 300)
	check(t, err)
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	questions := questionsIn(t, "testdata/asked.json", tokenizer)
	equal(t, len(questions), 1002)
	c := asAnswerer(smallModel(t).Config)
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.MaxPositionEmbeddings = len(tokenizer.Vocabulary), 32, 64, 40
	m, err := NewModel(c, 1)
	check(t, err)
	l := Limits{MaxSeq: 40, Overlap: 10, MaxAnswer: 12}
	tuner := &Tuner{Model: m, Cases: AnswerCases(tokenizer, questions[100:], l), Settings: TuneSettings(), Epochs: 10}
	tuner.Settings.LearningRate = 4e-3
	check(t, tuner.Train(t.Context()))
	s := m.AnswerScore(tokenizer, questions[:100], l)
	if s.ExactMatch < 50 {
		t.Errorf("learnt to %+v, want an exact match of 50%% or more", s)
	}
}

// Files in SQuAD's format have numbers for ids, strings for true and false, and need not say
// that a question without answers has none.
func TestLooseSQuAD(t *testing.T) {
	tokenizer := questionTokenizer(t)
	for qa, answers := range map[string]int{
		`"id": 7, "answers": [{"text": "bakes", "answer_start": 7}], "is_impossible": "false"`: 1,
		`"id": "7", "answers": []`:                        0,
		`"id": 7, "answers": [], "is_impossible": "True"`: 0,
		`"id": 7, "answers": [], "is_impossible": null`:   0,
		`"id": 7, "is_impossible": true`:                  0,
		`"id": 7, "answers": null, "is_impossible": true`: 0,
	} {
		questions, err := ReadSQuAD(strings.NewReader(`{"data":[{"paragraphs":[{"context":"Müller bakes.","qas":[{"question":"Who?",`+qa+`}]}]}]}`), tokenizer)
		check(t, err)
		equal(t, questions[0].ID, "7")
		equal(t, len(questions[0].Answers), answers, qa)
		equal(t, AboutQuestions(questions), fmt.Sprintf("1 questions about 1 passages, %d of them without an answer", 1-answers))
	}
}

// A file of questions that is not sound is refused, with the question.
func TestBadQuestionsAreRefused(t *testing.T) {
	tokenizer := questionTokenizer(t)
	file := func(context, question, answer string) string {
		return fmt.Sprintf(`{"data":[{"paragraphs":[{"context":%q,"qas":[{"id":"x7","question":%q,%s}]}]}]}`, context, question, answer)
	}
	for _, c := range []struct{ text, want string }{
		{"", "not SQuAD's JSON"},
		{"[]", "not SQuAD's JSON"},
		{`{"data":[]}`, "there is no question in it"},
		{"{\"data\":[{\"title\":\"caf\xe9\"}]}", "the text is not UTF-8: if it is Latin-1"},
		{`{"data":[{"title":"\ud83d"}]}`, `the text has \ud8…, half a character without the other half`},
		{file("Müller bakes.", "Who?", `"answers":[{"text":"bakes","answer_start":8}]`), `question 1, id "x7": the answer "bakes" does not stand at character 8 of the context, but at 7`},
		{file("Müller bakes.", "Who?", `"answers":[{"text":"sells","answer_start":7}]`), `does not stand at character 7 of the context, where "bakes." stands`},
		{file("Müller bakes.", "Who?", `"answers":[{"text":"sells","answer_start":99}]`), "at character 99 of the context, which has 13"},
		{file("Müller bakes.", "Who?", `"answers":[{"text":"sells","answer_start":-1}]`), "at character -1 of the context, which has 13"},
		{file("Müller bakes.", "Who?", `"answers":[{"text":"","answer_start":0}]`), `the answer "" does not stand`},
		{file("Müller bakes.", "Who?", `"answers":[{"text":" ","answer_start":6}]`), `the answer " " has no token`},
		{file("Müller bakes.", "Who?", `"is_impossible":"False","answers":[]`), "is_impossible is false and there are 0 answers"},
		{file("Müller bakes.", "Who?", `"is_impossible":true,"answers":[{"text":"bakes","answer_start":7}]`), "is_impossible is true and there are 1 answers"},
		{file("Müller bakes.", "Who?", `"answer":[{"text":"bakes","answer_start":7}]`), `question 1, id "x7": answers is missing, want a list`},
		{file("Müller bakes.", "Who?", `"answers":null`), "answers is missing"},
		{file("Müller bakes.", "Who?", `"is_impossible":false`), "answers is missing"},
		{file("Müller bakes.", "Who?", `"answers":[{"text":"bakes"}]`), `the answer "bakes" has no answer_start`},
		{file("Müller bakes.", "Who?", `"answers":[{"text":"Müller","answer_start":null}]`), "has no answer_start"},
		{file("Müller bakes.", " ", `"answers":[{"text":"bakes","answer_start":7}]`), "the question is empty"},
		{file(" ", "Who?", `"is_impossible":true,"answers":[]`), "the context is empty"},
	} {
		_, err := ReadSQuAD(strings.NewReader(c.text), tokenizer)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is %v, want one with %q", c.text, err, c.want)
		}
	}
}

// No file of questions makes the program go wrong: the tokens of an answer that is
// accepted cover its text.
func FuzzSQuAD(f *testing.F) {
	f.Add(`{"data":[{"paragraphs":[{"context":"Müller bakes.","qas":[{"question":"Who?","answers":[{"text":"Mü","answer_start":0}]}]}]}]}`)
	tokenizer := questionTokenizer(f)
	f.Fuzz(func(t *testing.T, text string) {
		questions, err := ReadSQuAD(strings.NewReader(text), tokenizer)
		if err != nil {
			return
		}
		for i := range questions {
			q := &questions[i]
			if len(q.Answers) > 0 && (q.answer.Begin >= q.answer.End || q.answer.End > len(q.Passage.ids)) {
				t.Errorf("%q has the tokens %+v", q.Answers[0], q.answer)
			}
			for range q.windows(tokenizer, Limits{12, 4, 5}) {
			}
		}
	})
}
