package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A bench is what commands can be asked with: for each command its flags, all in order, that
// one of them may be replaced.
type bench struct {
	dir   string
	flags map[string][][2]string // of each command
}

func newBench(t *testing.T) *bench {
	t.Helper()
	model, corpus := trained(t)
	classifier, answerer, labelled := tuned(t, model)
	dir := t.TempDir()
	m, tokenizer, _, err := LoadModel(model)
	check(t, err)
	config := m.Config
	config.SetTask(tagging, []string{"O", "B-X"})
	m, err = NewModel(config, 1)
	check(t, err)
	tagger, out := filepath.Join(dir, "tagger"), filepath.Join(dir, "out")
	check(t, SaveModel(tagger, m, tokenizer))
	return &bench{dir, map[string][][2]string{
		"demo":     {{"out", out}},
		"explain":  {{"model", model}},
		"report":   {{"model", model}},
		"pretrain": {{"corpus", corpus}, {"out", out}, {"steps", "1"}},
		"eval":     {{"model", model}, {"corpus", corpus}, {"max-seq", "48"}},
		"fill":     {{"model", model}},
		"next":     {{"model", model}},
		"embed":    {{"model", model}},
		"finetune": {{"model", model}, {"task", "classify"}, {"train", labelled}, {"out", out}},
		"classify": {{"model", classifier}},
		"tag":      {{"model", tagger}},
		"answer":   {{"model", answerer}, {"context", corpus}},
		"tokenize": {{"model", model}},
		"vocab":    {{"corpus", corpus}, {"out", out}},
		"examples": {{"corpus", corpus}, {"model", model}},
	}}
}

// with are the arguments of a command in which a flag has another value, and other flags are
// missing.
func (b *bench) with(command, flag, value string, without ...string) (args []string) {
	args = []string{command}
	for _, f := range b.flags[command] {
		if f[0] != flag && !slices.Contains(without, f[0]) {
			args = append(args, "-"+f[0]+"="+f[1])
		}
	}
	if flag != "" {
		args = append(args, "-"+flag+"="+value)
	}
	return args
}

// notForPeople is what only those understand who know which packages read what.
var notForPeople = regexp.MustCompile(`\bEOF|cannot unmarshal|invalid character|unexpected end|token too long|strconv\.|json: [cu]|gzip: i|flate: |parse error|Go |runtime|lstat |%!|\bopen /`)

// fails runs a command that has to fail with one line that has what is wanted in it, beside
// notes before it, and without a result.
func fails(t *testing.T, status int, args []string, wants ...string) {
	t.Helper()
	got, stdout, stderr := runHere("", args...)
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	last := lines[len(lines)-1]
	own := 0
	for _, line := range lines {
		if strings.HasPrefix(line, args[0]+": ") {
			own++
		}
	}
	if got != status || stdout != "" || own != 1 || !strings.HasPrefix(last, args[0]+": ") || notForPeople.MatchString(last) {
		t.Errorf("%v: exit status %d, output %.80q, %q; want %d and one line that people understand", args, got, stdout, stderr, status)
	}
	for _, want := range wants {
		if !strings.Contains(last, want) {
			t.Errorf("%v: %q, want %q in it", args, last, want)
		}
	}
}

// flagsOf are the flags of a command.
func flagsOf(c *command) *flag.FlagSet {
	call := &call{command: c, flags: flag.NewFlagSet(c.name, flag.ContinueOnError), args: []string{"-h"}, stdout: io.Discard, stderr: io.Discard}
	call.flags.SetOutput(io.Discard)
	c.run(call)
	return call.flags
}

// Every command refuses by name, in one line that says what was found and what was wanted: a
// flag that it does not know, each of its flags with a value that is none, flags that it
// needs and that are missing, and arguments that it does not take.
func TestUsageErrorsOfAllCommands(t *testing.T) {
	b := newBench(t)
	for _, c := range commands() {
		if b.flags[c.name] == nil {
			t.Fatalf("there is nothing to try %s with", c.name)
		}
		fails(t, exitUsage, append(b.with(c.name, "", ""), "-nope"), "-nope")
		fails(t, exitUsage, append(b.with(c.name, "", ""), "A", "B", "C"), "there are 3 arguments, want at most")
		fails(t, exitUsage, append(b.with(c.name, "", ""), "A", "-"+b.flags[c.name][0][0]), "-"+b.flags[c.name][0][0]+" comes after an argument", "want all flags before it")
		flagsOf(c).VisitAll(func(f *flag.Flag) {
			value, ok := f.Value.(flag.Getter)
			if !ok {
				return
			}
			switch value.Get().(type) {
			case bool, int, uint64, float64:
				fails(t, exitUsage, b.with(c.name, f.Name, "?"), `"?" for `, "-"+f.Name, "want ")
			}
			if _, ok := value.Get().(int); ok && f.Name != "overlap" && f.Name != "warmup" && !(c.name == "embed" && f.Name == "layer") {
				args := b.with(c.name, f.Name, "-7")
				if f.Name == "max-answer" && c.name == "finetune" || f.Name == "seeds" || f.Name == "short-seq" {
					return // it means nothing without another
				}
				if strings.Contains("layer head", f.Name) {
					args = append(args, "A")
				}
				fails(t, exitUsage, args, "-"+f.Name+" is -7", "want ")
			}
		})
		for _, f := range b.flags[c.name] {
			if f[0] == "steps" || f[0] == "max-seq" || c.name == "demo" {
				continue
			}
			fails(t, exitUsage, append(b.with(c.name, "", "", f[0]), []string{"A"}[:strings.Count(c.name, "explain")]...), "-"+f[0])
		}
	}
}

// gzipped is a text, compressed.
func gzipped(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	io.WriteString(w, text)
	w.Close()
	return out.String()
}

// Every command that reads a file names it, and says what is wrong with it: if it is not there,
// or a folder, empty, compressed and damaged, no text, no JSON, or JSON of something else.
func TestFileErrorsOfAllCommands(t *testing.T) {
	b := newBench(t)
	whole := gzipped(strings.Repeat(string(corpusText[:3000]), 2))
	for _, file := range []struct {
		name, content string
		want          string            // in the error
		only          map[string]string // of these flags it is another
	}{
		{"missing.txt", "", "missing.txt: no such file", nil},
		{"folder", "", "is a folder, want a file", map[string]string{"corpus": ""}},
		{"empty.txt", "", "empty.txt: there is no ", map[string]string{"vocab": "[PAD] is missing, want all of [PAD] [UNK]"}},
		{"empty.txt.gz", "", "empty.txt.gz: it is empty", nil},
		{"cut.txt.gz", whole[:9], "cut.txt.gz: it ends in the middle, want all of it", nil},
		{"fake.txt.gz", "this is not compressed", "fake.txt.gz: it does not begin as gzip does, want that", nil},
		{"damaged.txt.gz", whole[:40] + strings.Repeat("x", 40) + whole[80:], "it is damaged: from byte ", nil},
		{"sum.txt.gz", gzipped("")[:10] + whole[10:len(whole)-8] + "12345678", "it is damaged: its checksum is not", map[string]string{"vocab": "", "train": "", "eval": "", "examples": ""}},
		{"odd.txt", "\xff\xfea", "it is UTF-16 with an odd number of bytes, want an even one", nil},
		{"zeros.txt", "a\x00b\x00", "it is not text: it has zero bytes", nil},
		{"zip.txt", "PK\x03\x04", "it is not text but a zip archive", nil},
		{"garbage.json", "nope", "at byte 2 it is not JSON: found 'o'", map[string]string{"corpus": "", "context": ""}},
		{"cut.json", `{"model": {`, "it ends in the middle, want all of it", map[string]string{"corpus": "", "context": ""}},
		{"string.json", `"text"`, "want an object", map[string]string{"corpus": "", "context": ""}},
		{"more.json", `{} x`, "more.json: ", map[string]string{"corpus": "", "context": ""}},
	} {
		name := filepath.Join(b.dir, file.name)
		if file.name == "folder" {
			check(t, os.Mkdir(name, 0o777))
		} else if file.name != "missing.txt" {
			check(t, os.WriteFile(name, []byte(file.content), 0o666))
		}
		for _, c := range commands() {
			flagsOf(c).VisitAll(func(f *flag.Flag) {
				without := map[string][]string{"vocab": {"model"}, "examples": {"corpus"}, "corpus": nil, "train": nil, "context": nil, "eval": nil}
				others, ok := without[f.Name]
				want, isOther := file.only[f.Name]
				if !ok || isOther && want == "" {
					return
				}
				if !isOther {
					want = file.want
				}
				args := b.with(c.name, f.Name, name, others...)
				if f.Name == "examples" && c.name == "eval" {
					args = slices.DeleteFunc(args, func(arg string) bool { return arg == "-max-seq=48" })
				}
				if f.Name == "examples" && c.name == "pretrain" {
					args = append(args, "-init", b.flags["fill"][0][1])
				}
				if c.name == "explain" || c.name == "answer" {
					args = append(args, "A")
				}
				if isSQuAD := f.Name == "train" || f.Name == "eval"; isSQuAD { // the other tasks, too
					for _, task := range []string{"answer", "tag"} {
						if !strings.HasPrefix(file.name, "empty.txt") || task == "tag" {
							other := slices.Clone(args)
							other[slices.Index(other, "-task=classify")] = "-task=" + task
							if f.Name == "train" {
								fails(t, exitFailed, other, name, want)
							}
						}
					}
				}
				fails(t, exitFailed, args, name, want)
			})
		}
	}
}

// Every command that reads a model names the file of it that is wrong, and how.
func TestModelErrorsOfAllCommands(t *testing.T) {
	b := newBench(t)
	broken := func(file, content string) string {
		dir, _ := savedModel(t)
		check(t, os.Remove(filepath.Join(dir, tokenizerFile)))
		check(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o666))
		return dir
	}
	file, empty := filepath.Join(b.dir, "file"), t.TempDir()
	check(t, os.WriteFile(file, []byte("a file\n"), 0o666))
	models := []struct {
		dir, want  string
		parameters bool // of which tokenizers know nothing
	}{
		{filepath.Join(b.dir, "missing"), "no such file", false},
		{file, "not a directory, want a folder", false},
		{empty, "no such file", false},
		{broken(configFile, "[]"), "config.json: found list, want an object", true},
		{broken(configFile, ""), "config.json: it ends at byte 0, want whole JSON", true},
		{broken(configFile, `{"hidden_size": "20"}`), "config.json: hidden_size: found string at byte 20, want a whole number", true},
		{broken(configFile, `{"hidden_size": 20,}`), "config.json: at byte 20 it is not JSON: found '}', want a name in quotes", true},
		{broken(configFile, `{"hidden_size": 20} {}`), "config.json: at byte 21 it is not JSON: found '{' after its end, want nothing there", true},
		{broken(tokenizerConfigFile, `{"do_lower_case": 1}`), "tokenizer_config.json: do_lower_case: found number at byte 19, want true or false", false},
		{broken(tokenizerConfigFile, `{"mask_token": 1}`), "tokenizer_config.json: mask_token: found number, want a text", false},
		{broken(tokenizerFile, `{"model": []}`), "tokenizer.json: model: found list at byte 11, want an object", false},
		{broken(tokenizerFile, ``), "tokenizer.json: it is empty", false},
		{broken(vocabFile, "a\nb\n"), `vocab.txt: the added token "[PAD]" has id 0, which is "a" in the vocabulary`, false},
		{broken(vocabFile, strings.Repeat("a", 1<<17)), "vocab.txt: line 1 has 131072 bytes, want a word", false},
		{broken("added_tokens.json", `{"a": "b"}`), "added_tokens.json: found string at byte 9, want a whole number", false},
		{broken(modelFile, "garbage"), "model.safetensors: the file has 7 bytes, too few for a safetensors file", true},
		{broken(modelFile, safetensorsWith(`{"a" 1}`, 0)), "model.safetensors: header: ", true},
	}
	for _, c := range commands() {
		flags := flagsOf(c)
		which := "model"
		if flags.Lookup("init") != nil {
			which = "init"
		}
		if flags.Lookup(which) == nil {
			continue
		}
		for _, m := range models {
			if m.parameters && (c.name == "tokenize" || c.name == "examples") {
				continue
			}
			args := append(b.with(c.name, which, m.dir), []string{"A [MASK]", "B"}[:map[string]int{"next": 2, "fill": 1, "explain": 1, "embed": 1, "classify": 1, "tag": 1, "answer": 1}[c.name]]...)
			fails(t, exitFailed, args, m.dir, m.want)
		}
	}
	if exists(filepath.Join(b.dir, "out")) {
		t.Error(fmt.Sprint("a command that failed has left ", filepath.Join(b.dir, "out")))
	}
}

// What else people mistake is said as well: sizes of 0, no name, text of another encoding on
// standard input, and fields of examples and questions.
func TestOtherErrors(t *testing.T) {
	b := newBench(t)
	write := func(name, text string) string {
		name = filepath.Join(b.dir, name)
		check(t, os.WriteFile(name, []byte(text), 0o666))
		return name
	}
	for _, size := range []string{"layers", "hidden", "heads"} {
		fails(t, exitUsage, b.with("pretrain", size, "0"), "-"+size+" is 0, want 1 to")
	}
	fails(t, exitUsage, b.with("pretrain", "corpus", ""), `"" for flag -corpus: want the name of a file or a folder`)
	examples := slices.DeleteFunc(b.with("eval", "examples", write("example.jsonl", `{"input_ids":[2,99999999999,3]}`), "corpus"), func(arg string) bool { return arg == "-max-seq=48" })
	fails(t, exitFailed, examples, "example.jsonl: example 1: input_ids: found number 99999999999 at byte 27, want a whole number of 32 bits")
	squad := `{"data":[{"paragraphs":[{"context":"Nora","qas":[{"question":"Who?","answers":[{"text":"Nora","answer_start":"0"}]}]}]}]}`
	questions := append(b.with("finetune", "train", write("questions.json", squad), "task"), "-task", "answer")
	fails(t, exitFailed, questions, "questions.json: this is not SQuAD's JSON: data.paragraphs.qas.answers.answer_start: found string at byte ", ", want a whole number")
	quotes := b.with("finetune", "train", write("quotes.csv", "label,text\na,\"one\nb,two\n"))
	fails(t, exitFailed, quotes, "quotes.csv: line 3: extraneous or missing", "want quotes around a field")
	for _, command := range []string{"tokenize", "fill", "next", "embed", "classify", "tag", "answer"} {
		status, stdout, stderr := runHere("\xff\xfea", b.with(command, "", "")...)
		if status != exitFailed || stdout != "" || stderr != command+": standard input: it is UTF-16 with an odd number of bytes, want an even one: it was cut short\n" {
			t.Errorf("%s: exit status %d, %q, %q", command, status, stdout, stderr)
		}
	}
	for _, command := range []string{"tokenize", "fill", "next", "embed", "classify", "tag", "answer", "explain"} { // once, whatever there is
		args, stdin, said := b.with(command, "", ""), "caf\xe9 [MASK]\tb\xff\ufffd\n\xe9 [MASK]\tb\n", "3 bytes of the text are not UTF-8 and were read as U+FFFD\n"
		if command == "explain" {
			args, stdin, said = append(args, "caf\xe9 b"), "", "1"+said[1:]
		}
		status, stdout, stderr := runHere(stdin, args...)
		if status != exitDone || stdout == "" || strings.Count(stderr, said) != 1 || strings.Count(stderr, "U+FFFD") != 1 {
			t.Errorf("%s: exit status %d, %q, %q, want %q", command, status, stdout, stderr, said)
		}
	}
	context := b.with("answer", "context", write("latin.txt", "\ufeffThe caf\xe9 bread."))
	status, _, said := runHere("", append(context, "What?")...)
	equal(t, status == exitDone && said == "1 bytes of the text are not UTF-8 and were read as U+FFFD\n", true, said)
	status, stdout, stderr := runHere("", b.with("vocab", "show", "3", "out")...)
	equal(t, status == exitDone && strings.Count(stdout, "\n") == 3 && stderr == "", true, stderr)
	status, stdout, stderr = runHere("", append(b.with("vocab", "show", "3", "out"), "-min-frequency", "9999999")...)
	equal(t, status == exitDone && stdout == "" && strings.Contains(stderr, "no two pieces are joined: none stand side by side 9999999 times"), true, stderr)
}
