package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Step 7 of the lesson, a tokenizer's files, as Hugging Face has them:
//
//	vocab.txt              the vocabulary, a word a line; its number, from 0, is the id
//	tokenizer_config.json  the rules by which it cuts text, and the added tokens
//	tokenizer.json         all of it in one; newer versions save nothing but this
//
// What decides about ids and is not known here is refused by name.

const (
	vocabFile           = "vocab.txt"
	tokenizerConfigFile = "tokenizer_config.json"
)

// tokenizerSettings are what is read of tokenizer_config.json; null is Hugging Face's
// default. (In published files other fields can be what would not fit here, such as 1e30.)
type tokenizerSettings struct {
	Class                string                  `json:"tokenizer_class"`
	DoLowerCase          *bool                   `json:"do_lower_case"`
	StripAccents         *bool                   `json:"strip_accents"`
	TokenizeChineseChars *bool                   `json:"tokenize_chinese_chars"`
	DoBasicTokenize      *bool                   `json:"do_basic_tokenize"`
	SplitSpecialTokens   bool                    `json:"split_special_tokens"`
	NeverSplit           []any                   `json:"never_split"`
	Pad                  tokenName               `json:"pad_token"`
	Unk                  tokenName               `json:"unk_token"`
	Cls                  tokenName               `json:"cls_token"`
	Sep                  tokenName               `json:"sep_token"`
	Mask                 tokenName               `json:"mask_token"`
	Bos                  tokenName               `json:"bos_token"`
	Eos                  tokenName               `json:"eos_token"`
	Additional           tokenNames              `json:"additional_special_tokens"`
	Extra                tokenNames              `json:"extra_special_tokens"`
	Decoder              map[string]decoderToken `json:"added_tokens_decoder"`
}

// tokenName is a token: its content, or an object.
type tokenName struct{ AddedToken }

func (n *tokenName) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		return json.Unmarshal(data, &n.AddedToken)
	}
	return json.Unmarshal(data, &n.Content)
}

// decoderToken is one of added_tokens_decoder, where not all fields have to be.
type decoderToken struct {
	AddedToken
	Normalized *bool `json:"normalized"` // otherwise if it is not special
}

// tokenNames are a list of tokens, or an object whose values they are.
type tokenNames []tokenName

func (n *tokenNames) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var named map[string]tokenName
		err := json.Unmarshal(data, &named)
		for _, name := range slices.Sorted(maps.Keys(named)) {
			*n = append(*n, named[name])
		}
		return err
	}
	return json.Unmarshal(data, (*[]tokenName)(n))
}

// knownClasses are the tokenizer classes whose rules are those here. For some of them the
// rules stand in tokenizer_config.json, for the others in tokenizer.json.
var knownClasses = map[string]bool{ // rules in tokenizer_config.json
	"BertTokenizer": true, "BertTokenizerFast": true, "DistilBertTokenizer": true, "DistilBertTokenizerFast": true,
	"ElectraTokenizer": true, "ElectraTokenizerFast": true,
	"": false, "PreTrainedTokenizerFast": false, "PreTrainedTokenizer": false, "TokenizersBackend": false,
}

// check returns an error that names the first setting that is not known here.
func (s *tokenizerSettings) check() error {
	if _, ok := knownClasses[s.Class]; !ok {
		return fmt.Errorf("tokenizer_class is %q, whose rules are not known here, want BertTokenizer or one with the same rules", s.Class)
	}
	for i, token := range s.special() {
		if token.Content != "" && token.Content != specialTokens[i] {
			return fmt.Errorf("the token %s is called %q there, which is not known here", specialTokens[i], token.Content)
		}
	}
	switch {
	case s.SplitSpecialTokens:
		return errors.New("split_special_tokens is true, want false")
	case s.DoBasicTokenize != nil && !*s.DoBasicTokenize:
		return errors.New("do_basic_tokenize is false, want true")
	case slices.ContainsFunc(s.NeverSplit, func(token any) bool { name, _ := token.(string); return !slices.Contains(specialTokens, name) }):
		return errors.New("never_split has other tokens than the special ones, which is not known here; as added tokens they would be")
	}
	return nil
}

// special are the special tokens that it names.
func (s *tokenizerSettings) special() []tokenName {
	return []tokenName{s.Pad, s.Unk, s.Cls, s.Sep, s.Mask}
}

// named are other special tokens that it names.
func (s *tokenizerSettings) named() []tokenName {
	return slices.Concat([]tokenName{s.Bos, s.Eos}, s.Additional, s.Extra)
}

// rulesOf are the rules that three settings mean.
func rulesOf(lowerCase, stripAccents, chineseChars *bool) Rules {
	rules := RulesFor(lowerCase == nil || *lowerCase)
	if stripAccents != nil {
		rules.StripAccents = *stripAccents
	}
	if chineseChars != nil {
		rules.SplitChinese = *chineseChars
	}
	return rules
}

// settings are the rules as three settings: those of rulesOf.
func (rules Rules) settings() (lowerCase, stripAccents, chineseChars *bool) {
	if rules.StripAccents != rules.LowerCase {
		stripAccents = &rules.StripAccents
	}
	return &rules.LowerCase, stripAccents, &rules.SplitChinese
}

// ReadVocabulary reads vocab.txt: a word a line.
func ReadVocabulary(text string) (words []string, err error) {
	lines := strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1
	if lines > maxVocabulary {
		return nil, fmt.Errorf("it has more words than %d", maxVocabulary)
	}
	words = make([]string, 0, lines)
	for line := range strings.Lines(text) {
		if len(line) > 1<<12 {
			return nil, fmt.Errorf("line %d has %d bytes, want a word", len(words)+1, len(line))
		}
		if !utf8.ValidString(line) {
			return nil, fmt.Errorf("line %d, %.40q, is not UTF-8: save it as UTF-8", len(words)+1, line)
		}
		words = append(words, strings.TrimRight(line, "\r\n"))
	}
	return words, nil
}

// WriteVocabulary writes vocab.txt.
func WriteVocabulary(w io.Writer, words []string) error {
	_, err := io.WriteString(w, strings.Join(words, "\n")+"\n")
	return err
}

// loadSettings reads and checks settings, if there are any. (A vocabulary alone is taken for an
// uncased one.)
func loadSettings(name string, settings *tokenizerSettings) error {
	return cmp.Or(readJSONIfAny(name, settings), wrap(name, settings.check()))
}

// LoadTokenizer reads the tokenizer of the model folder dir.
func LoadTokenizer(dir string) (*Tokenizer, error) {
	settings, special, file := tokenizerSettings{}, tokenizerSettings{}, &TokenizerJSON{}
	configName, fileName, vocabName := filepath.Join(dir, tokenizerConfigFile), filepath.Join(dir, tokenizerFile), filepath.Join(dir, vocabFile)
	// The second is an older file, with the special tokens.
	err := cmp.Or(loadSettings(configName, &settings), loadSettings(filepath.Join(dir, "special_tokens_map.json"), &special))
	if err == nil && exists(fileName) {
		file, err = LoadTokenizerJSON(fileName)
	}
	if err != nil {
		return nil, err
	}
	added := file.AddedByID()
	names := slices.Concat(special.special(), settings.special(), settings.named())
	err = cmp.Or(settings.addTo(added, configName), readAddedTokens(filepath.Join(dir, "added_tokens.json"), names, added))
	if err != nil {
		return nil, err
	}
	if len(settings.Additional) == 0 {
		settings.Additional = special.Additional
	}
	settings.Additional = slices.Concat(special.special(), settings.special(), settings.Additional) // may say how they are found
	var words []string
	name := vocabName
	if exists(vocabName) || !exists(fileName) {
		words, err = loadWords(vocabName)
		err = cmp.Or(err, sameVocabulary(vocabName, words, fileName, file.Model.Vocabulary, added))
	} else {
		name = fileName
		words, err = file.Words()
		err = wrap(fileName, err)
	}
	if err != nil {
		return nil, err
	}
	t, err := tokenizerOf(name, words, &settings, file, added)
	if err == nil && exists(fileName) {
		err = wrap(fileName, file.CheckProcessor(t, settings.Class == "" || knownClasses[settings.Class]))
	}
	return t, err
}

// sameVocabulary returns an error if vocab.txt has other words than tokenizer.json, if that is
// there; added tokens may be in one alone.
func sameVocabulary(vocabName string, words []string, fileName string, vocabulary map[string]int, added map[int32]AddedToken) error {
	different := func(word string, id int, which string) error {
		return fmt.Errorf("%s and %s have different vocabularies: %q is %d in the %s; remove the wrong one", vocabName, fileName, word, id, which)
	}
	for word, id := range vocabulary {
		if id < 0 || id >= len(words) || words[id] != word {
			return different(word, id, "second")
		}
	}
	for id, word := range words {
		if _, ok := vocabulary[word]; !ok && word != "" && len(vocabulary) > 0 && added[int32(id)].Content != word {
			return different(word, id, "first")
		}
	}
	return nil
}

// tokenizerOf makes the tokenizer that the files describe. Where there is no tokenizer.json, file
// is empty.
func tokenizerOf(name string, words []string, settings *tokenizerSettings, file *TokenizerJSON, added map[int32]AddedToken) (*Tokenizer, error) {
	var noPieces []string // words never have them as pieces: a vocabulary was trained without them
	for _, id := range slices.Sorted(maps.Keys(added)) {
		content := added[id].Content
		switch {
		case id < 0:
			return nil, fmt.Errorf("%s: the added token %q has id %d, want 0 or more", name, content, id)
		case int(id) == len(words):
			words, noPieces = append(words, content), append(noPieces, content)
		case int(id) > len(words):
			return nil, fmt.Errorf("%s: the added token %q has id %d, but there are %d tokens before it", name, content, id, len(words))
		case words[id] == "":
			words[id], noPieces = content, append(noPieces, content)
		case words[id] != content:
			return nil, fmt.Errorf("%s: the added token %q has id %d, which is %q in the vocabulary", name, content, id, words[id])
		case len(file.Model.Vocabulary) > 0:
			if _, ok := file.Model.Vocabulary[content]; !ok {
				noPieces = append(noPieces, content)
			}
		}
	}
	for _, token := range settings.named() {
		id := slices.Index(words, token.Content) // new ones come last, in this order
		if id < 0 && token.Content != "" && !slices.Contains(specialTokens, token.Content) {
			id, words, noPieces = len(words), append(words, token.Content), append(noPieces, token.Content)
		}
		if _, ok := added[int32(id)]; !ok && id >= 0 && token.Content != "" {
			token.Special = true
			added[int32(id)] = token.AddedToken
		}
	}
	t, err := NewTokenizer(words, true)
	if err != nil {
		return nil, wrap(name, err)
	}
	for _, word := range noPieces {
		delete(t.ids, word)
	}
	t.Rules = rulesOf(settings.DoLowerCase, settings.StripAccents, settings.TokenizeChineseChars)
	if n := file.Model.MostCharacters; n != nil {
		t.mostCharacters = *n
	}
	if n := file.Normalizer; n.Type != "" && !knownClasses[settings.Class] {
		t.Rules = rulesOf(n.LowerCase, n.StripAccents, n.ChineseChars)
	}
	return t, wrap(name, t.add(added))
}

// add makes the tokenizer keep added tokens whole.
func (t *Tokenizer) add(added map[int32]AddedToken) error {
	t.kept = slices.Clone(specialTokens)
	for _, id := range slices.Sorted(maps.Keys(added)) {
		token := added[id]
		isIt := func(content string) bool { return content == token.Content }
		switch {
		case token.Content == "":
			return fmt.Errorf("the added token %d is empty", id)
		case token.SingleWord:
			return fmt.Errorf("the added token %q has single_word, which is not known here", token.Content)
		case slices.Contains(specialTokens, token.Content) && !token.Normalized: // is kept already
			continue
		}
		t.added = append(t.added, token)
		t.keptIDs[token.Content] = id
		t.kept = slices.DeleteFunc(t.kept, isIt)
		if token.Normalized {
			plain, _ := t.NormalizeAll(token.Content)
			t.whole = append(t.whole, plain)
			t.wholeIDs[plain] = id
		} else {
			t.kept = append(t.kept, token.Content)
		}
	}
	return nil
}

// addTo adds the added tokens of tokenizer_config.json, whose name is configName, to those of
// tokenizer.json.
func (s *tokenizerSettings) addTo(added map[int32]AddedToken, configName string) error {
	for number, token := range s.Decoder {
		id, err := strconv.ParseInt(number, 10, 32)
		if err != nil || id < 0 {
			return fmt.Errorf("%s: added_tokens_decoder has %q, want an id", configName, number)
		}
		if before, ok := added[int32(id)]; ok && before.Content != token.Content {
			return fmt.Errorf("%s: the added token %d is %q, but %q in %s", configName, id, token.Content, before.Content, tokenizerFile)
		}
		if token.AddedToken.Normalized = !token.Special; token.Normalized != nil {
			token.AddedToken.Normalized = *token.Normalized
		}
		added[int32(id)] = token.AddedToken
	}
	return nil
}

// readAddedTokens adds those of added_tokens.json, if there is one. Older versions wrote it:
// contents and their ids. Special are those that are named so elsewhere (but, as in Hugging
// Face's version 5, not as additional ones of special_tokens_map.json).
func readAddedTokens(name string, names []tokenName, added map[int32]AddedToken) error {
	var ids map[string]int32
	if err := readJSONIfAny(name, &ids); err != nil {
		return err
	}
	for content, id := range ids {
		special := slices.ContainsFunc(names, func(token tokenName) bool { return token.Content == content })
		if before, ok := added[id]; !ok {
			added[id] = AddedToken{Content: content, Normalized: !special, Special: special}
		} else if before.Content != content {
			return fmt.Errorf("%s: %q is %d, which is %q elsewhere", name, content, id, before.Content)
		}
	}
	return nil
}

// LoadVocabulary reads a vocabulary file: a vocab.txt or a tokenizer.json, which has its
// own rules.
func LoadVocabulary(name string, lowerCase bool) (*Tokenizer, error) {
	if strings.ToLower(filepath.Ext(name)) == ".json" {
		file, err := LoadTokenizerJSON(name)
		if err != nil {
			return nil, err
		}
		words, err := file.Words()
		if err != nil {
			return nil, wrap(name, err)
		}
		t, err := tokenizerOf(name, words, &tokenizerSettings{}, file, file.AddedByID())
		if err == nil {
			err = wrap(name, file.CheckProcessor(t, true))
		}
		return t, err
	}
	words, err := loadWords(name)
	if err != nil {
		return nil, err
	}
	t, err := NewTokenizer(words, lowerCase)
	return t, wrap(name, err)
}

// loadWords reads a vocab.txt.
func loadWords(name string) (words []string, err error) {
	if f, err := openFile(name); err != nil {
		return nil, err
	} else {
		f.Close()
	}
	err = readFile(name, nil, func(r io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(r, maxVocabularyFile+1))
		if err == nil && len(text) > maxVocabularyFile {
			err = fmt.Errorf("it has more than %d bytes, want a vocabulary", maxVocabularyFile)
		}
		if err == nil {
			words, err = ReadVocabulary(string(text))
		}
		return err
	})
	return words, err
}

// pieces are the vocabulary without the added tokens that are no pieces of words.
func (t *Tokenizer) pieces() []string {
	pieces := slices.Clone(t.Vocabulary)
	for _, token := range slices.Backward(t.added) {
		id := int(t.keptIDs[token.Content])
		if _, ok := t.ids[token.Content]; !ok && id == len(pieces)-1 {
			pieces = pieces[:id]
		} else if !ok {
			pieces[id] = ""
		}
	}
	return pieces
}

// TokenizerFiles are the files of a tokenizer, for a model with a number of positions.
func TokenizerFiles(t *Tokenizer, positions int) []savedFile {
	lowerCase, stripAccents, chineseChars := t.Rules.settings()
	var tokens []AddedToken
	for _, token := range specialTokens {
		if isIt := func(added AddedToken) bool { return added.Content == token }; !slices.ContainsFunc(t.added, isIt) {
			tokens = append(tokens, AddedToken{Content: token, Special: true})
		}
	}
	var additional []string
	all, decoder := []NumberedToken{}, map[int32]AddedToken{}
	for _, token := range append(tokens, t.added...) {
		id := t.keptIDs[token.Content]
		all, decoder[id] = append(all, NumberedToken{id, token}), token
		if token.Special && !slices.Contains(specialTokens, token.Content) {
			additional = append(additional, token.Content)
		}
	}
	config := map[string]any{
		"tokenizer_class": "BertTokenizer", "do_lower_case": lowerCase, "strip_accents": stripAccents, "tokenize_chinese_chars": chineseChars,
		"model_max_length": positions, "pad_token": padToken, "unk_token": unkToken, "cls_token": clsToken, "sep_token": sepToken, "mask_token": maskToken,
		"added_tokens_decoder": decoder,
	}
	if len(additional) > 0 {
		config["additional_special_tokens"] = additional
	}
	yes := true
	file := TokenizerJSON{
		Version: "1.0", Added: all,
		Normalizer:    Normalizer{"BertNormalizer", &yes, chineseChars, stripAccents, lowerCase},
		PreTokenizer:  Typed{"BertPreTokenizer"},
		PostProcessor: PairTemplate(t),
		Decoder:       map[string]any{"type": "WordPiece", "prefix": continuing, "cleanup": true},
		Model:         WordPiece{"WordPiece", unkToken, continuing, &t.mostCharacters, map[string]int{}},
	}
	pieces := t.pieces()
	for id, word := range pieces {
		file.Model.Vocabulary[word] = id
	}
	return []savedFile{
		{vocabFile, func(w io.Writer) error { return WriteVocabulary(w, pieces) }},
		{tokenizerConfigFile, func(w io.Writer) error { return writeJSON(w, config) }},
		{tokenizerFile, func(w io.Writer) error { return writeJSON(w, file) }},
	}
}
